// The filter "Show All / Failed Only" of a validation page, in plain JavaScript.
function setSucceededHidden(hidden) {
  for (const cell of document.querySelectorAll(".hide-succeeded-validation-target-child")) cell.parentElement.classList.toggle("docs-hidden", hidden);
  for (const element of document.querySelectorAll(".hide-succeeded-validation-target")) element.classList.toggle("docs-hidden", hidden);
  for (const child of document.querySelectorAll(".hide-succeeded-validations-column-section-target-child")) {
    const section = child.parentElement.parentElement;
    section.classList.toggle("docs-hidden", hidden);
    for (const link of document.querySelectorAll(`a[href="#${section.id}"]`)) link.classList.toggle("docs-hidden", hidden);
  }
  document.querySelectorAll(".btn-group-toggle label").forEach((label, n) => label.classList.toggle("active", (n === 1) === hidden));
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
