"use strict";

// What all the scripts share: the page's data, elements, the theme.

const data = JSON.parse(document.getElementById("data").textContent);

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

// The reader's own choice goes over the system's; CSS does the rest by color-scheme.
const systemDark = matchMedia("(prefers-color-scheme: dark)");

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : systemDark.matches;
}

function themeChanged() {
  const button = document.getElementById("theme");
  button.textContent = isDark() ? "Light" : "Dark";
  button.setAttribute("aria-label", isDark() ? "Use light colours" : "Use dark colours");
}

document.getElementById("theme").addEventListener("click", () => {
  document.documentElement.dataset.theme = isDark() ? "light" : "dark";
  themeChanged();
});
systemDark.addEventListener("change", themeChanged);
addEventListener("beforeprint", () => {
  document.documentElement.dataset.printing = "";
  document.querySelectorAll("details").forEach((details) => { details.open = true; });
});
addEventListener("afterprint", () => { delete document.documentElement.dataset.printing; });
document.getElementById("theme").hidden = false;
themeChanged();
