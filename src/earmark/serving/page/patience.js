// Waits for its turn: no more than two songs are sent at a time, and a busy service is asked again when it says so.

import { Refused } from "./api.js";

const TRIES = 8;
const LONGEST_S = 120; // a longer wait is the person's own to decide on

/** Runs jobs, `width` at a time, in the order in which they came. */
export class Line {
  #waiting = [];
  #running = 0;

  constructor(width) {
    this.width = width;
  }

  /** Run `job(signal)` when it is its turn; one that is cancelled before never starts. */
  run(job, signal) {
    return new Promise((resolve, reject) => {
      const entry = { job, signal, resolve, reject };
      this.#waiting.push(entry);
      signal?.addEventListener("abort", () => {
        const at = this.#waiting.indexOf(entry);
        if (at < 0) return;
        this.#waiting.splice(at, 1);
        reject(new Refused("cancelled"));
      });
      this.#next();
    });
  }

  async #next() {
    if (this.#running >= this.width || !this.#waiting.length) return;
    const { job, signal, resolve, reject } = this.#waiting.shift();
    this.#running += 1;
    try {
      resolve(await job(signal));
    } catch (error) {
      reject(error);
    } finally {
      this.#running -= 1;
      this.#next();
    }
  }
}

/** Whether waiting helps: the service is busy, and not without a model. */
const passes = (refused) => (refused.status === 429 || refused.status === 503) && refused.code !== "no_champion";

/** `attempt()` until it is answered; between two tries `onWait(seconds, refused)` is told every second. */
export async function patiently(attempt, { signal, onWait = () => {} } = {}) {
  for (let tries = 1; ; tries += 1) {
    try {
      return await attempt();
    } catch (refused) {
      if (!(refused instanceof Refused) || !passes(refused) || tries === TRIES) throw refused;
      const seconds = Math.max(1, Math.ceil(refused.retryAfterS ?? Math.min(30, 2 ** tries)));
      if (seconds > LONGEST_S) throw refused;
      for (let left = seconds; left > 0; left -= 1) {
        onWait(left, refused);
        await second(signal);
      }
    }
  }
}

function second(signal) {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(new Refused("cancelled"));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, 1000);
    if (signal?.aborted) stop();
    signal?.addEventListener("abort", stop, { once: true });
  });
}
