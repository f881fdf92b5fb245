// Building blocks of the page. Whatever comes from a gateway is shown as text, never as markup.

export const $ = (selector, root = document) => root.querySelector(selector);

/** An element with attributes and children; texts are children too. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) {
    if (attribute === 'onclick') made.addEventListener('click', value);
    else if (value !== undefined && value !== false) made.setAttribute(attribute, value);
  }
  made.append(...children);
  return made;
}

/** A table: columns are `[title, cell of a row, class]`, where a cell is a text or an element. */
export function table(caption, columns, rows) {
  if (rows.length === 0) return element('p', { class: 'hint' }, `No ${caption}.`);
  const head = element('tr', {}, ...columns.map(([title, , kind]) => element('th', { scope: 'col', class: kind }, title)));
  const body = rows.map((row) => element('tr', {}, ...columns.map(([, cell, kind]) => element('td', { class: kind }, cell(row)))));
  return element('table', {}, element('caption', {}, caption), element('thead', {}, head), element('tbody', {}, ...body));
}

/** Names and what they are. */
export function facts(pairs) {
  return pairs.flatMap(([name, value]) => [element('dt', {}, name), element('dd', {}, value)]);
}

export function link(text, onclick) {
  return element('button', { type: 'button', class: 'link', onclick }, text);
}

export function number(value) {
  return value.toLocaleString('en');
}

export function seconds(value) {
  if (value === null) return '–';
  if (value < 1) return `${Math.round(value * 10_000) / 10} ms`;
  if (value < 60) return `${Math.round(value)} s`;
  if (value < 3600) return twoOf(value, [60, 'min'], [1, 's']);
  return value < 86_400 ? twoOf(value, [3600, 'h'], [60, 'min']) : twoOf(value, [86_400, 'd'], [3600, 'h']);
}

/** Its two largest parts, without the second where that is nothing. */
function twoOf(value, [large, largeUnit], [small, smallUnit]) {
  const rest = Math.floor((value % large) / small);
  return `${Math.floor(value / large)} ${largeUnit}${rest === 0 ? '' : ` ${rest} ${smallUnit}`}`;
}

export function bytes(value) {
  if (value < 1024) return `${value} B`;
  return value < 1024 ** 2 ? `${Math.round(value / 102.4) / 10} KiB` : `${Math.round((value / 1024 ** 2) * 10) / 10} MiB`;
}

/** Deliveries that were dropped, by reason. */
export function drops(counts) {
  const some = Object.entries(counts).filter(([, count]) => count > 0);
  return some.length === 0 ? 'none' : some.map(([reason, count]) => `${reason} ${number(count)}`).join(', ');
}

export function missing(gateways) {
  return gateways.length === 0 ? '' : `Did not answer within a second: ${gateways.join(', ')}`;
}
