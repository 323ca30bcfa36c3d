// What every page gets: times in the reader's zone, the theme's button, and what changes by itself.
import { localise } from "./times.js";
import { followChanges } from "./live.js";

function nextTheme() {
  const shown = document.documentElement.dataset.theme
    ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  return shown === "dark" ? "light" : "dark";
}

function offerThemes() {
  const button = document.getElementById("theme");
  const name = () => { button.textContent = nextTheme() === "dark" ? "Dark" : "Light"; };
  button.addEventListener("click", () => {
    const theme = nextTheme();
    document.documentElement.dataset.theme = theme;
    localStorage.setItem("theme", theme);
    name();
  });
  name();
  button.hidden = false;
}

localise(document);
offerThemes();
followChanges();
