"use strict";

// What all the scripts share: the page's data, the theme, text for plotly.

const data = JSON.parse(document.getElementById("data").textContent);
const variantOf = new Map(data.variants.map((variant) => [variant.id, variant]));

// Plotly reads names as HTML of its own (<b>, <a href>) and entities with it, so a label is escaped; `%{` would be
// filled in where a template is, so there is none anywhere.
function plotText(text) {
  return String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}

function shortened(text, limit) {
  return text.length <= limit ? text : text.slice(0, limit - 2) + " …";
}

const percent = (share, digits = 1) => (100 * share).toFixed(digits) + " %";

function humanCount(count) {
  const units = [[1e12, " T"], [1e9, " G"], [1e6, " M"], [1e3, " k"]];
  const [size, unit] = units.find(([size]) => Math.abs(count) >= 0.9995 * size) ?? [1, ""];
  return Number((count / size).toPrecision(3)) + unit;
}

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

// The reader's own choice goes over the system's; CSS does the rest by color-scheme. Plots are told.
const systemDark = matchMedia("(prefers-color-scheme: dark)");
const themeListeners = [];

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : systemDark.matches;
}

function themeChanged() {
  const button = document.getElementById("theme");
  button.textContent = isDark() ? "Light" : "Dark";
  button.setAttribute("aria-label", isDark() ? "Use light colours" : "Use dark colours");
  themeListeners.forEach((listener) => listener());
}

document.getElementById("theme").addEventListener("click", () => {
  document.documentElement.dataset.theme = isDark() ? "light" : "dark";
  themeChanged();
});
systemDark.addEventListener("change", themeChanged);
document.getElementById("theme").hidden = false;
