// Runs before anything is painted: the theme and the language that were chosen last time, so that nothing flickers.
// A classic script, because modules run later.
(() => {
  const remembered = (name) => {
    try {
      return localStorage.getItem(`earmark.${name}`);
    } catch {
      return null; // storage may be forbidden; the page works without
    }
  };
  const theme = remembered("theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  const wanted = remembered("language") ?? navigator.languages?.find((tag) => /^(en|zh)\b/i.test(tag)) ?? "en";
  document.documentElement.lang = /^zh/i.test(wanted) ? "zh-Hans" : "en";
})();
