// Light or dark, remembered; without a choice the page follows the system.
(() => {
  "use strict";
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  // A browser may refuse storage; the choice then lasts as long as the page.
  const stored = (act) => { try { return act(localStorage); } catch { return null; } };
  const chosen = stored((storage) => storage.getItem("truepair-theme"));
  if (chosen === "dark" || chosen === "light") root.dataset.theme = chosen;
  const isDark = () => (root.dataset.theme || (dark.matches ? "dark" : "light")) === "dark";
  document.addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const name = () => { button.textContent = isDark() ? "Light" : "Dark"; };
    button.hidden = false;
    button.addEventListener("click", () => {
      root.dataset.theme = isDark() ? "light" : "dark";
      stored((storage) => storage.setItem("truepair-theme", root.dataset.theme));
      name();
    });
    dark.addEventListener("change", name);
    name();
  });
})();
