// The filter "Show All / Failed Only" of a validation page, in plain JavaScript.
function setSucceededHidden(hidden) {
  const all = (selector) => document.querySelectorAll(selector);
  const hide = (element) => element.classList.toggle("docs-hidden", hidden);
  for (const cell of all(".hide-succeeded-validation-target-child")) hide(cell.parentElement);
  for (const element of all(".hide-succeeded-validation-target")) hide(element);
  for (const child of all(".hide-succeeded-validations-column-section-target-child")) {
    const section = child.parentElement.parentElement;
    hide(section);
    for (const link of all(`a[href="#${section.id}"]`)) hide(link);
  }
  all(".btn-group-toggle label").forEach((label, n) => label.classList.toggle("active", (n === 1) === hidden));
}
function showAllValidations() { setSucceededHidden(false); }
function hideSucceededValidations() { setSucceededHidden(true); }

// "Show more info..." of the overview.
document.addEventListener("click", (event) => {
  const toggle = event.target.closest('[data-toggle="collapse"]');
  if (!toggle) return;
  event.preventDefault();
  const target = document.querySelector(toggle.dataset.target || toggle.getAttribute("href"));
  if (target) target.classList.toggle("show");
});
