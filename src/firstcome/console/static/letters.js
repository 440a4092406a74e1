// One box ticks all letters of this page.
document.addEventListener("change", (event) => {
  if (!event.target.matches("[data-all]")) return;
  for (const box of document.querySelectorAll("input[name=letter]")) box.checked = event.target.checked;
});

// A filter's answer takes the list's place only if it has a list: what went wrong is told above it.
const trouble = document.getElementById("trouble");

function tell(title, means) {
  trouble.replaceChildren(...[title, means].map((text, index) => {
    const line = document.createElement("p");
    line.append(index ? text : Object.assign(document.createElement("strong"), { textContent: text }));
    return line;
  }));
  trouble.hidden = false;
}

document.addEventListener("htmx:after:request", (event) => {
  const { ctx } = event.detail;
  if (ctx.response.headers.has("HX-Redirect")) return; // signed out: the whole page is led on
  const page = new DOMParser().parseFromString(ctx.text, "text/html");
  if (page.getElementById("letters")) {
    trouble.hidden = true;
    return;
  }
  event.preventDefault();
  tell(page.querySelector("main h1")?.textContent ?? trouble.dataset.title, trouble.dataset.means);
});
document.addEventListener("htmx:error", () => tell(trouble.dataset.title, trouble.dataset.means));
