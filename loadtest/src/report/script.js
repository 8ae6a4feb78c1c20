"use strict";
// Whoever points at one server sees the others step back, in every plot that shows it.
const point = (mark) => {
  for (const svg of document.querySelectorAll("svg")) {
    const shown = mark && svg.querySelector("g." + mark);
    for (const group of svg.querySelectorAll("g")) {
      group.style.opacity = shown && !group.classList.contains(mark) ? 0.15 : "";
    }
  }
};
for (const svg of document.querySelectorAll("svg")) {
  svg.addEventListener("mouseover", (event) => {
    const group = event.target.closest("g");
    point(group && group.classList[0]);
  });
  svg.addEventListener("mouseleave", () => point(null));
}
// What is folded away on the screen is wanted on paper.
addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details")) details.open = true;
});
