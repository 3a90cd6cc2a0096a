// The field for SQL: Ctrl and Enter run it, Tab completes the name before the caret.
const MOST = 8

function wordOf (field) {
  return /[\w.]*$/.exec(field.value.slice(0, field.selectionStart))[0].split('.').pop()
}

function matches (field) {
  const word = wordOf(field).toLowerCase()
  if (word.length < 2) return []
  const names = [...document.querySelectorAll(`${field.dataset.complete} option`)].map((each) => each.value)
  return names.filter((each) => each.toLowerCase().startsWith(word) && each.toLowerCase() !== word).slice(0, MOST)
}

function close (field) {
  field.parentElement.querySelector('[data-completions]')?.remove()
}

function complete (field, name) {
  const end = field.selectionStart
  field.setRangeText(name, end - wordOf(field).length, end, 'end')
  close(field)
  field.focus()
}

function offer (field) {
  close(field)
  const found = matches(field)
  if (!found.length) return
  const list = document.createElement('div')
  list.dataset.completions = ''
  list.className = 'dropdown-menu show'
  list.setAttribute('aria-live', 'polite')
  for (const name of found) {
    const choice = document.createElement('button')
    choice.type = 'button'
    choice.tabIndex = -1
    choice.className = 'dropdown-item mono'
    choice.textContent = name
    choice.addEventListener('click', () => complete(field, name))
    list.append(choice)
  }
  field.parentElement.append(list)
}

document.addEventListener('input', (event) => {
  if (event.target.matches('textarea[data-complete]')) offer(event.target)
})

// Before what other keys do on a page: Escape closes the list, and only without one leaves the field.
document.addEventListener('keydown', (event) => {
  const field = event.target
  if (!field.matches('textarea[data-submit]')) return
  if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) {
    event.preventDefault()
    field.form.requestSubmit()
  }
  const first = field.parentElement.querySelector('[data-completions] button')
  if (event.key === 'Tab' && !event.shiftKey && first) {
    event.preventDefault()
    complete(field, first.textContent)
  }
  if (event.key === 'Escape' && first) {
    event.stopPropagation()
    close(field)
  }
}, true)
