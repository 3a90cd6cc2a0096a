// What every page does: it asks for parts of itself, shows times in the viewer's zone, and obeys keys.
import htmx from 'htmx.org'
import './sql.js'

window.htmx = htmx
const root = document.documentElement

// A search that is made anew in the same tab takes the place of the one before.
function tab () {
  const name = sessionStorage.getItem('tab') ?? String(crypto.getRandomValues(new Uint32Array(2)).join('-'))
  sessionStorage.setItem('tab', name)
  return name
}

// A request that changes something says that it comes from this page.
document.addEventListener('htmx:configRequest', (event) => {
  event.detail.headers['X-Ocelog-Tab'] = tab()
  const token = document.querySelector('meta[name=csrf]')?.content
  if (token) event.detail.headers['X-CSRF-Token'] = token
})

// Whoever is signed out meanwhile is led to where one signs in, and not left with a table that stands still.
document.addEventListener('htmx:responseError', (event) => {
  if (event.detail.xhr.status === 401) location.assign('/sign-in')
})

const whole = new Intl.DateTimeFormat(root.lang, { dateStyle: 'medium', timeStyle: 'medium' })
const day = new Intl.DateTimeFormat(root.lang, { dateStyle: 'medium', timeStyle: 'short' })

function tellTimes (within) {
  for (const each of within.querySelectorAll('time[datetime]')) {
    const at = new Date(each.dateTime)
    if (Number.isNaN(at.getTime())) continue
    each.title ||= each.dateTime.replace('T', ' ').replace('Z', ' UTC')
    each.textContent = (each.dataset.precise === undefined ? day : whole).format(at)
  }
}
document.addEventListener('htmx:load', (event) => tellTimes(event.detail.elt))
tellTimes(document)

// Whoever has sent a form is led to what does not hold in it, or else to what was found.
function lead (within) {
  const place = within.querySelector('.is-invalid') ?? within.querySelector('[data-verdict]')
  if (!place) return
  place.focus({ preventScroll: true })
  place.scrollIntoView({ block: place.matches('[data-verdict]') ? 'start' : 'center' })
}
document.addEventListener('htmx:afterSettle', (event) => {
  if (event.detail.elt.matches('[data-leads]')) lead(event.detail.elt)
})
lead(document.querySelector('main'))

function theme (name) {
  root.dataset.bsTheme = name
}
theme(localStorage.getItem('theme') ?? (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light'))

document.addEventListener('click', (event) => {
  if (event.target.closest('[data-theme-switch]')) {
    const next = root.dataset.bsTheme === 'dark' ? 'light' : 'dark'
    localStorage.setItem('theme', next)
    theme(next)
  }
  if (event.target.closest('[data-close]')) event.target.closest('dialog').close()
  const cancels = event.target.closest('[data-cancel]')
  if (cancels) {
    // The server ends the query when the request goes away.
    const place = document.querySelector(cancels.dataset.cancel)
    htmx.trigger(place, 'htmx:abort')
    place.textContent = cancels.dataset.said
  }
  const emptied = event.target.closest('[data-empties]')
  if (emptied) document.querySelector(emptied.dataset.empties).replaceChildren()
  const copied = event.target.closest('[data-copy]')
  if (copied) copy(copied)
})

// A browser lends its clipboard only where nobody on the way can change the page; elsewhere a chosen text is copied.
async function copy (button) {
  try {
    await navigator.clipboard.writeText(button.dataset.copy)
  } catch {
    const place = document.createElement('textarea')
    place.value = button.dataset.copy
    button.after(place)
    place.select()
    const done = document.execCommand('copy')
    place.remove()
    button.focus()
    if (!done) return
  }
  const said = root.dataset.copied
  if (button.textContent === said) return
  const before = button.textContent
  button.setAttribute('aria-live', 'polite')
  button.textContent = said
  setTimeout(() => { button.textContent = before }, 2000)
}

// What was asked for with a click is shown where one looks, and read from there.
document.addEventListener('htmx:load', (event) => {
  if (!event.detail.elt.matches?.('[data-arrives]')) return
  event.detail.elt.focus({ preventScroll: true })
  event.detail.elt.scrollIntoView({ block: 'nearest' })
})

// A column of an event is put into the search that one came from, if it was one of the same log type.
if (location.pathname === '/search') sessionStorage.setItem('search', location.search)
document.addEventListener('click', (event) => {
  const column = event.target.closest('a[data-column]')
  const last = new URLSearchParams(sessionStorage.getItem('search') ?? '')
  if (!column || last.get('log') !== column.dataset.log) return
  last.set('column', column.dataset.column)
  column.href = `/search/column?${last}`
})

// A row opens what it is about, wherever it is clicked that nothing else happens and no text is being chosen.
document.addEventListener('click', (event) => {
  const row = event.target.closest('tr[data-href]')
  if (!row || event.defaultPrevented || event.button !== 0 || event.shiftKey || event.altKey) return
  if (event.target.closest('a, button, input, select, textarea, label, summary, td:has(input)')) return
  if (String(getSelection())) return
  if (event.ctrlKey || event.metaKey) open(row.dataset.href, '_blank', 'noopener')
  else location.assign(row.dataset.href)
})

// Boxes beside rows, one for all of them, and how many are chosen.
function countChosen (form) {
  const boxes = [...form.querySelectorAll('tbody input[type=checkbox]')]
  const chosen = boxes.filter((each) => each.checked).length
  const all = form.querySelector('[data-choose-all]')
  if (!all) return
  all.hidden = false
  all.checked = chosen > 0 && chosen === boxes.length
  all.indeterminate = chosen > 0 && chosen < boxes.length
  form.querySelector('[data-chosen]').textContent = chosen
}
document.addEventListener('change', (event) => {
  const form = event.target.closest('[data-chooses]')
  if (!form) return
  if (event.target.matches('[data-choose-all]')) {
    for (const each of form.querySelectorAll('tbody input[type=checkbox]')) each.checked = event.target.checked
  }
  countChosen(form)
})
// Back in the history, a browser puts back which boxes were ticked only after this has run.
addEventListener('pageshow', () => document.querySelectorAll('[data-chooses]').forEach(countChosen))
// Not by scrollIntoView, after which the first Tab would go on from there, past the link that skips the menu.
const here = document.querySelector('header [aria-current]')
const menu = here?.closest('.sections')
if (menu) {
  const [entry, all] = [here.getBoundingClientRect(), menu.getBoundingClientRect()]
  const faded = parseFloat(getComputedStyle(menu).paddingInlineEnd)
  menu.scrollLeft += Math.max(0, entry.right + faded - all.right)
}

// Groups of fields stay folded as they were left, in every event that has them.
const folded = new Set(JSON.parse(localStorage.getItem('folded') ?? '[]'))
for (const each of document.querySelectorAll('details[data-fold]')) each.open = !folded.has(each.dataset.fold)
document.addEventListener('toggle', (event) => {
  const name = event.target.dataset?.fold
  if (name === undefined || event.target.open !== folded.has(name)) return
  if (event.target.open) folded.delete(name)
  else folded.add(name)
  localStorage.setItem('folded', JSON.stringify([...folded]))
  // The same part of another element of its list.
  for (const each of document.querySelectorAll('details[data-fold]')) {
    if (each.dataset.fold === name) each.open = event.target.open
  }
}, true)

// Hours without a zone are by the clock of whoever types them.
const zone = new Intl.DateTimeFormat().resolvedOptions().timeZone
for (const each of zone ? document.querySelectorAll('form [data-own-zone]') : []) {
  each.value = zone
  each.form.querySelector('[name=quiet_hours]').placeholder = `22:00-07:00 ${zone}`
  const hint = each.form.querySelector('[data-zone-hint]')
  hint.lastElementChild.textContent = zone
  hint.hidden = false
}

// "/" search, "j" and "k" to the next and last row, enter to open it, space to choose it, "?" help, escape out of
// whatever is open.
const found = (rows) => [...document.querySelectorAll(`main tbody ${rows}`)]
const rows = () => found('tr[data-href]').length ? found('tr[data-href]') : found('tr')
let at = -1

function go (step) {
  const all = rows()
  if (!all.length) return
  all[at]?.classList.remove('at')
  at = Math.min(Math.max(at + step, 0), all.length - 1)
  all[at].classList.add('at')
  all[at].scrollIntoView({ block: 'nearest' })
  const links = [...all[at].querySelectorAll('a')]
  const opens = links.find((each) => each.getAttribute('href') === all[at].dataset.href)
  // A row without a link can be read, no more; it takes the focus all the same, so that it is read out.
  if (!links.length) all[at].tabIndex = -1
  ;(opens ?? links[0] ?? all[at]).focus()
}

// Which key was pressed, also while an input method makes something else of it, as the Korean one does of letters.
const places = { KeyJ: 'j', KeyK: 'k', Slash: '/' }
function keyOf (event) {
  if (/^[ -~]$/.test(event.key) || (event.key.length > 1 && event.key !== 'Process')) return event.key
  const key = places[event.code]
  return key === '/' && event.shiftKey ? '?' : key ?? event.key
}

// Whatever has the focus and is pressed by the space bar itself keeps it.
function choose (event) {
  const box = rows()[at]?.querySelector('input[type=checkbox]')
  if (!box || event.target.closest('input, button, summary, dialog')) return
  event.preventDefault()
  box.click()
}

document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return
  const types = event.target.matches('input:not([type=checkbox]), textarea, select, [contenteditable]')
  const key = keyOf(event)
  if (event.key === 'Escape' && types) event.target.blur()
  if (types) return
  if (key === '/') {
    const search = document.querySelector('[data-search]')
    event.preventDefault()
    if (search) search.focus()
    else if (document.querySelector('meta[name=csrf]')) {
      // What is typed until the other page is there is not lost.
      sessionStorage.setItem('typed', '')
      location.assign('/search')
      return
    }
  }
  if (sessionStorage.getItem('typed') !== null) {
    if (event.key.length === 1) sessionStorage.setItem('typed', sessionStorage.getItem('typed') + event.key)
    return
  }
  if (key === 'j') go(1)
  if (key === 'k') go(-1)
  if (key === ' ') choose(event)
  if (key === '?') document.querySelector('dialog.help')?.showModal()
})

const typed = sessionStorage.getItem('typed')
if (typed !== null) {
  sessionStorage.removeItem('typed')
  const field = document.querySelector('[data-search]')
  if (field && location.pathname === '/search') {
    field.value += typed
    field.focus()
  }
}

// What was typed into a page whose session ends is there again once the same person has signed in, in this tab: nothing
// that is secret. Who is signed out is led away by a form, a link, or a part of the page that asks for itself again.
const person = document.querySelector('header a[href="/account"]')?.title
const isTicked = (field) => ['checkbox', 'radio'].includes(field.type)
const valueOf = (field) => (isTicked(field) ? field.checked : field.value)
const fieldsOf = (forms) => [...document.querySelectorAll(`${forms} :is(input, select, textarea)`)].filter(
  (field) => field.name && !['hidden', 'password', 'file'].includes(field.type) && field.dataset.secret === undefined)

// Which field it is, also once there are other rows: of which form, which says unseen what it is about.
function identityOf (field) {
  const unseen = [...field.form.querySelectorAll('[type=hidden]:not([name=csrf])')].map((each) => each.value)
  return JSON.stringify([field.form.getAttribute('action'), unseen, field.name, isTicked(field) && field.value])
}

// The answer to a form has what was typed into that form as its own values.
const main = document.querySelector('main')
document.addEventListener('htmx:afterSettle', (event) => {
  if (event.detail.requestConfig?.verb === 'post') main.dataset.answers = ''
})

function isTyped (field) {
  const isAnswered = (field.form.getAttribute('action') ?? '').split('?')[0] === location.pathname
  if (isAnswered && main.dataset.answers !== undefined) return true
  if (isTicked(field)) return field.checked !== field.defaultChecked
  if (!field.options) return field.value !== field.defaultValue
  return field.value !== ([...field.options].find((each) => each.defaultSelected) ?? field.options[0])?.value
}

let signsOut = false
document.addEventListener('submit', (event) => {
  signsOut = event.target.matches('[action="/sign-out"]')
  if (signsOut) sessionStorage.removeItem('unsent')
})

addEventListener('pagehide', () => {
  if (!person || signsOut) return
  const fields = fieldsOf('main form[method=post]').filter(isTyped)
    .map((field) => ({ identity: identityOf(field), value: valueOf(field) }))
  try {
    if (fields.length) sessionStorage.setItem('unsent', JSON.stringify({ person, path: location.pathname, fields }))
  } catch { /* more than a browser keeps */ }
})

function typeAgain (unsent) {
  const fields = new Map(fieldsOf('main form[method=post]').map((field) => [identityOf(field), field]))
  for (const { identity, value } of unsent.fields) {
    const field = fields.get(identity)
    if (!field || valueOf(field) === value) continue
    if (isTicked(field)) field.checked = value
    else field.value = value
    const folded = field.closest('details')
    if (folded) folded.open = true
    field.dispatchEvent(new Event('change', { bubbles: true }))
    field.focus()
  }
}

const unsent = JSON.parse(sessionStorage.getItem('unsent') ?? 'null')
if (unsent && !person) sessionStorage.setItem('unsent', JSON.stringify({ ...unsent, ended: true }))
else if (unsent && !(unsent.ended && unsent.person === person && unsent.path !== location.pathname)) {
  sessionStorage.removeItem('unsent')
  if (unsent.ended && unsent.person === person) typeAgain(unsent)
}

// A tab that nobody sees asks for nothing again and again: thirty open ones cost as much as one.
document.addEventListener('htmx:beforeRequest', (event) => {
  const repeats = event.detail.elt.getAttribute('hx-trigger')?.includes('every')
  if (document.hidden && repeats && event.detail.requestConfig.triggeringEvent === undefined) event.preventDefault()
})

// Charts come with what they show in their attributes; what draws them is loaded by the first that is there.
async function draw (within) {
  const places = within.querySelectorAll('[data-chart=histogram]')
  if (!places.length) return
  const { histogram } = await import(document.querySelector('meta[name=charts]').content)
  places.forEach(histogram)
}
document.addEventListener('htmx:load', (event) => draw(event.detail.elt.parentElement ?? event.detail.elt))
