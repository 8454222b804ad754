// Tells a screen reader what happened: progress politely, failures at once.

const say = (id) => (text) => {
  const region = document.getElementById(id);
  region.textContent = "";
  // A region that gets the same text twice stays silent, unless it was empty in between.
  setTimeout(() => (region.textContent = text), 50);
};

/** When there is a pause. */
export const announce = say("progress");

/** At once. */
export const alarm = say("alarm");
