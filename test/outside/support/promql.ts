/** What an expression of PromQL names. */
export interface Named {
  readonly metrics: readonly string[];
  /** Labels in matchers, by metric. */
  readonly matched: readonly { readonly metric: string; readonly label: string }[];
  /** Labels in `by`, `without`, `on` and their like. */
  readonly grouped: readonly string[];
}

const GROUPING = /\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)/g;
const SELECTOR = /([A-Za-z_:][\w:]*)\s*\{([^}]*)\}/g;
const WORDS = new Set(['and', 'or', 'unless', 'bool', 'offset', 'inf', 'nan']);

/** Reads the names in `expression`; that it is PromQL at all is for promtool to say. */
export function namesIn(expression: string): Named {
  const withoutStrings = expression.replaceAll(/"(?:[^"\\]|\\.)*"|'[^']*'/g, '""');
  const grouped = [...withoutStrings.matchAll(GROUPING)].flatMap(([, list = '']) => list.match(/[^\s,]+/g) ?? []);
  const selectors = withoutStrings.replaceAll(GROUPING, ' ').replaceAll(/\[[^\]]*\]/g, ' ');
  const matched = [...selectors.matchAll(SELECTOR)].flatMap(([, metric = '', matchers = '']) =>
    [...matchers.matchAll(/([A-Za-z_]\w*)\s*(?:=~|!~|!=|=)/g)].map(([, label = '']) => ({ metric, label })),
  );
  const identifiers = [...selectors.replaceAll(SELECTOR, ' $1 ').matchAll(/\b([A-Za-z_:][\w:]*)(?!\w)(\s*\()?/g)];
  const metrics = identifiers.flatMap(([, name = '', call]) => (call === undefined && !WORDS.has(name.toLowerCase()) ? [name] : []));
  return { metrics: [...new Set(metrics)], matched, grouped };
}

/** Metric names of a page in Prometheus's text format, each with the labels of its samples. */
export function readPage(page: string): Map<string, Set<string>> {
  const metrics = new Map<string, Set<string>>();
  for (const line of page.split('\n')) {
    const [, name, labels = ''] = /^([A-Za-z_:][\w:]*)(?:\{(.*)\})? \S+$/.exec(line) ?? [];
    if (name === undefined) continue;
    const known = metrics.get(name) ?? new Set<string>();
    for (const [, label = ''] of labels.matchAll(/([A-Za-z_]\w*)="/g)) known.add(label);
    metrics.set(name, known);
  }
  return metrics;
}

/** The sum of a metric's samples on such a page, of all its labels or of those that hold `label`. */
export function sumIn(page: string, name: string, label = ''): number {
  return page
    .split('\n')
    .filter((line) => (line.startsWith(`${name} `) || line.startsWith(`${name}{`)) && line.includes(label))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
}
