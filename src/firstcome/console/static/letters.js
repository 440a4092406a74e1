// One box ticks all letters of this page.
document.addEventListener("change", (event) => {
  if (!event.target.matches("[data-all]")) return;
  for (const box of document.querySelectorAll("input[name=letter]")) box.checked = event.target.checked;
});
