// Plays a song: from anywhere, up to a moment's end, or through a band-pass filter that leaves one band of it.

let context = null; // one for all songs: browsers allow few

/** Plays one file. Tells "change" when it starts, stops or is filtered, and "time" while it runs. */
export class Player extends EventTarget {
  #audio = new Audio();
  #url;
  #until = null;
  #frame = 0;
  #source = null;
  #chain = [];

  constructor(file) {
    super();
    this.#url = URL.createObjectURL(file);
    Object.assign(this, { band: null, failed: false });
    const audio = this.#audio;
    audio.preload = "metadata";
    for (const name of ["play", "pause", "ended"]) audio.addEventListener(name, () => this.#changed());
    audio.addEventListener("seeked", () => this.#tell("time"));
    audio.addEventListener("error", () => {
      this.failed = true; // the browser does not know the format; the service may
      this.#tell("change");
    });
    audio.addEventListener("loadedmetadata", () => this.#findEnd());
    audio.src = this.#url;
  }

  get playing() {
    return !this.#audio.paused && !this.#audio.ended;
  }

  get at() {
    return this.#audio.currentTime;
  }

  /** Play from `seconds`, and stop at `until` if it is given. */
  async play(seconds = this.at, until = null) {
    if (this.failed) return;
    if (seconds !== this.at) this.#audio.currentTime = seconds;
    this.#until = until;
    if (context?.state === "suspended") context.resume();
    try {
      await this.#audio.play();
    } catch (error) {
      if (error.name === "NotSupportedError") {
        this.failed = true;
        this.#tell("change");
      }
    }
  }

  pause() {
    this.#audio.pause();
  }

  toggle() {
    if (this.playing) this.pause();
    else this.play(this.#audio.ended ? 0 : this.at);
  }

  seek(seconds) {
    this.#until = null;
    this.#audio.currentTime = seconds;
    this.#tell("time");
  }

  /** Leave only what lies between these frequencies, in Hz; null: everything again. */
  only(low, high = null) {
    this.band = low === null ? null : { low, high };
    this.#connect();
    this.#tell("change");
  }

  /** Stop, and let go of the file. */
  end() {
    this.pause();
    cancelAnimationFrame(this.#frame);
    this.#source?.disconnect();
    this.#chain.forEach((node) => node.disconnect());
    this.#audio.removeAttribute("src");
    URL.revokeObjectURL(this.#url);
  }

  #connect() {
    if (!this.#source && !this.band) return; // without a filter there is no need of Web Audio
    context ??= new AudioContext();
    this.#source ??= context.createMediaElementSource(this.#audio);
    this.#source.disconnect();
    this.#chain.forEach((node) => node.disconnect());
    this.#chain = this.band ? filters(context, this.band) : [];
    [this.#source, ...this.#chain, context.destination].reduce((from, to) => from.connect(to));
    if (context.state === "suspended") context.resume();
  }

  #changed() {
    cancelAnimationFrame(this.#frame);
    if (this.playing) this.#run();
    this.#tell("time");
    this.#tell("change");
  }

  #run() {
    this.#tell("time");
    if (this.#until !== null && this.at >= this.#until) {
      this.#until = null;
      this.pause();
      return;
    }
    this.#frame = requestAnimationFrame(() => this.#run());
  }

  /** A recording from the browser does not say how long it is, and cannot be wound before that is known. */
  #findEnd() {
    const audio = this.#audio;
    if (Number.isFinite(audio.duration)) return;
    const back = () => {
      if (!Number.isFinite(audio.duration)) return;
      audio.removeEventListener("durationchange", back);
      audio.currentTime = 0;
    };
    audio.addEventListener("durationchange", back);
    audio.currentTime = 1e7;
  }

  #tell(name) {
    this.dispatchEvent(new Event(name));
  }
}

/** Two band-passes in a row, for a steep edge; louder, because little is left of the song; and no clipping. */
export function filters(context, { low, high }) {
  const centre = Math.sqrt(low * high);
  const passes = [1, 2].map(
    () => new BiquadFilterNode(context, { type: "bandpass", frequency: centre, Q: centre / (high - low) }),
  );
  const gain = new GainNode(context, { gain: 3 });
  return [...passes, gain, new DynamicsCompressorNode(context, { threshold: -6, ratio: 12 })];
}
