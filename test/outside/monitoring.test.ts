import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { HISTOGRAMS } from '../../packages/gateway/src/metrics/histograms.ts';
import { METRICS } from '../../packages/gateway/src/metrics.ts';
import { Client } from '../e2e/clients.ts';
import { requireBinary } from '../support/binaries.ts';
import { startRedis } from '../support/brokers.ts';
import { type GatewayProcess, startGateway } from '../support/processes.ts';
import { outcomeOf, outputOf, ROOT } from './support/commands.ts';
import { type Dashboard, expressionsOf, readDashboard } from './support/dashboard.ts';
import { namesIn, readPage, sumIn } from './support/promql.ts';
import { until } from '../support/until.ts';

/** What Prometheus adds to every sample. */
const TARGET_LABELS = ['job', 'instance'];
/** The one metric of Prometheus's own. */
const UP = 'up';

interface Rules {
  readonly groups: readonly { readonly rules: readonly { readonly alert: string; readonly expr: string; readonly annotations: Record<string, string> }[] }[];
}

interface RuleTests {
  readonly tests: readonly {
    readonly name: string;
    readonly input_series: readonly { readonly series: string }[];
    readonly promql_expr_test?: readonly object[];
    readonly alert_rule_test?: readonly { readonly alertname: string; readonly exp_alerts?: readonly object[] }[];
  }[];
}

const folder = join(ROOT, 'deploy/prometheus');
const rules = (parse(await readFile(join(folder, 'rules.yml'), 'utf8')) as Rules).groups.flatMap((group) => group.rules);
const dashboard = await readDashboard();

let promtool: string;
let scratch: string;
/** What a gateway says after it has had something of everything. */
let page: string;

beforeAll(async () => {
  promtool = await requireBinary('promtool', '', 'prometheus');
  scratch = await mkdtemp(join(tmpdir(), 'busgate-monitoring-'));
  await using redis = await startRedis();
  await using gateway = await startGateway({ args: ['--demo', '--layer', redis.url] });
  await load(gateway);
  page = await until(
    'the gateway knows that everybody has left',
    async () => (await fetch(gateway.ops('/metrics'))).text(),
    (text) => sumIn(text, 'busgate_sessions') === 0,
  );
});

afterAll(async () => {
  await rm(scratch, { recursive: true, force: true });
});

/** Sessions of both routes, messages over sockets and HTTP, refusals, error frames, closes of several codes. */
async function load(gateway: GatewayProcess): Promise<void> {
  const raw = await Promise.all(Array.from({ length: 20 }, () => Client.open(gateway.ws('/room/load'))));
  const multiplex = await Client.open(gateway.ws('/socket'), ['busgate.v1']);
  multiplex.send('{"type":"join","room":"load","ref":1}');
  multiplex.send('{"type":"nonsense"}');
  await multiplex.until((received) => received.length >= 3);
  for (let number = 0; number < 200; number += 1) raw[number % raw.length]?.send(`message ${number}`);
  await Promise.all(raw.map((client) => client.until((received) => received.length >= 200)));
  expect((await fetch(gateway.http('/room/load'), { method: 'POST', body: 'over HTTP' })).status).toBe(202);
  expect((await fetch(gateway.http('/nowhere'))).status).toBe(404);
  expect(await Client.refused(gateway.ws('/room/not%20a%20room'))).toBe(400);
  await Promise.all(raw.slice(10).map((client) => client[Symbol.asyncDispose]()));
  multiplex.socket.send(Buffer.from('binary'));
  await multiplex.closed;
  await Promise.all(raw.slice(0, 10).map((client) => client.until((received) => received.length >= 201)));
  for (const client of raw.slice(0, 10)) client.socket.close(1000);
  await Promise.all(raw.map((client) => client.closed));
}

/** Metrics and their labels: ours as the program defines them, those of the process as it shows them. */
function known(): Map<string, ReadonlySet<string>> {
  const shown = readPage(page);
  return new Map<string, ReadonlySet<string>>([
    ...shown,
    ...METRICS.map(({ name, labels }): [string, ReadonlySet<string>] => [name, new Set(labels)]),
    ...HISTOGRAMS.map(({ name, labels }): [string, ReadonlySet<string>] => [`${name}_bucket`, new Set([...labels, 'le'])]),
    [UP, new Set()],
  ]);
}

/** Names in an expression that no gateway has. */
function unknownIn(expression: string): string[] {
  const metrics = known();
  const { metrics: named, matched, grouped } = namesIn(expression);
  const labels = new Set([...TARGET_LABELS, ...named.flatMap((name) => [...(metrics.get(name) ?? [])])]);
  return [
    ...named.filter((name) => !metrics.has(name)),
    ...matched
      .filter(({ metric, label }) => !TARGET_LABELS.includes(label) && metrics.get(metric)?.has(label) !== true)
      .map(({ metric, label }) => `${metric}{${label}}`),
    ...grouped.filter((label) => !labels.has(label)).map((label) => `by (${label})`),
  ];
}

describe('the metrics of a gateway under load', () => {
  test('are clean to a linter (attack 90)', async () => {
    const file = join(scratch, 'metrics.txt');
    await writeFile(file, page);
    const { code, stdout, stderr } = await outcomeOf('bash', ['-c', '"$0" check metrics --extended < "$1"', promtool, file]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain('busgate_layer_up');
  });

  test('balance when it is quiet', () => {
    const [due = 0, ...parts] = ['due_total', 'sent_total', 'dropped_total', 'queued'].map((name) => sumIn(page, `busgate_deliveries_${name}`));
    expect(due).toBeGreaterThanOrEqual(20 * 200);
    expect(parts.reduce((sum, part) => sum + part, 0)).toBe(due);
  });

  test('are all those that the program defines', () => {
    const typed = [...page.matchAll(/^# TYPE (busgate_\S+) /gm)].map(([, name]) => name);
    expect(new Set(typed)).toEqual(new Set([...METRICS, ...HISTOGRAMS].map(({ name }) => name)));
  });
});

describe('deploy/prometheus', () => {
  test('is a configuration that Prometheus takes', async () => {
    await expect(outputOf(promtool, ['check', 'config', join(folder, 'prometheus.yml')])).resolves.toContain('is valid');
  });

  test('has rules that do what their tests say', async () => {
    await expect(outputOf(promtool, ['test', 'rules', join(folder, 'rules.test.yml')])).resolves.toContain('SUCCESS');
  });

  test.each(rules.map(({ alert }) => alert))('has a test in which %s fires, and one in which it does not', async (alert) => {
    const { tests } = parse(await readFile(join(folder, 'rules.test.yml'), 'utf8')) as RuleTests;
    const looks = tests.flatMap(({ alert_rule_test: cases = [] }) => cases.filter(({ alertname }) => alertname === alert));
    expect(looks.some(({ exp_alerts: fired = [] }) => fired.length > 0)).toBe(true);
    expect(looks.some(({ exp_alerts: fired = [] }) => fired.length === 0)).toBe(true);
  });

  test('looks at every alert, at all times, while a fleet and a broker are restarted and when a fleet is gone', async () => {
    const { tests } = parse(await readFile(join(folder, 'rules.test.yml'), 'utf8')) as RuleTests;
    const whole = tests.filter(({ promql_expr_test: looks }) => looks !== undefined);
    expect(whole.map(({ name }) => name)).toEqual([
      expect.stringContaining('a fleet is restarted in order'),
      expect.stringContaining('a broker that is restarted'),
      expect.stringContaining('a fleet that is entirely gone'),
      expect.stringContaining('where their places are not known'),
    ]);
    const alerted = new Set(rules.flatMap(({ expr }) => namesIn(expr).metrics));
    // An alert without its metrics would be silent whatever it says. Nothing is said of workers by a fleet that is gone.
    for (const { name, input_series: series } of whole.slice(0, 2)) {
      const given = new Set(series.flatMap(({ series: one }) => namesIn(one).metrics));
      expect([name, [...alerted].filter((metric) => !given.has(metric))]).toEqual([name, []]);
    }
  });

  test.each(rules.map(({ alert, annotations }) => [alert, annotations['runbook_url']] as const))(
    '%s names its paragraph of docs/operations.md',
    async (alert, url = '') => {
      const [page, anchor] = new URL(url).href.split('#', 2);
      expect(page).toMatch(/\/docs\/operations\.md$/);
      expect(anchor).toBe(alert.toLowerCase());
      expect(await readFile(join(ROOT, 'docs/operations.md'), 'utf8')).toContain(`\n### ${alert}\n\n`);
    },
  );

  test.each(rules.map(({ alert, expr }) => [alert, expr]))('names only what there is: %s', (_, expr) => {
    expect(unknownIn(expr)).toEqual([]);
  });
});

describe('deploy/grafana', () => {
  const panels = dashboard.panels.filter(({ type }) => type !== 'row');

  test('has expressions that Prometheus takes', async () => {
    const file = join(scratch, 'dashboard.yml');
    const recorded = expressionsOf(dashboard).map((expr, index) => ({ record: `panel:${index}`, expr }));
    await writeFile(file, stringify({ groups: [{ name: 'dashboard', rules: recorded }] }));
    await expect(outputOf(promtool, ['check', 'rules', file])).resolves.toContain(`SUCCESS: ${recorded.length} rules found`);
  });

  test.each(panels.map((panel) => [panel.title, panel] as const))('names only what there is, and says its unit: %s', (_, panel) => {
    expect(panel.targets?.flatMap(({ expr }) => unknownIn(expr))).toEqual([]);
    expect(panel.targets?.flatMap(({ expr, legendFormat }) => unnamedIn(legendFormat, expr))).toEqual([]);
    expect(panel.fieldConfig?.defaults.unit).toMatch(/^[a-zA-Z]+$/);
    expect(panel.description).toMatch(/\.$/);
    expect([panel.datasource?.uid, ...(panel.targets ?? []).map(({ datasource }) => datasource.uid)].every((uid) => uid === '${datasource}')).toBe(true);
  });

  test('looks at the chosen gateways only', () => {
    const chosen = panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => namesIn(expr)));
    const unchosen = chosen.flatMap(({ metrics, matched }) =>
      metrics.filter((name) => !TARGET_LABELS.every((label) => matched.some(({ metric, label: found }) => metric === name && found === label))),
    );
    expect(unchosen).toEqual([]);
    expect(dashboard.templating.list.map(({ name }) => name)).toEqual(['datasource', ...TARGET_LABELS]);
  });

  test('shows every metric that an alert is about', () => {
    const shown = new Set(expressionsOf(dashboard).flatMap((expr) => namesIn(expr).metrics));
    const alerted = rules.flatMap(({ expr }) => namesIn(expr).metrics).filter((name) => name !== UP);
    expect(alerted.filter((name) => !shown.has(name))).toEqual([]);
  });

  test('has panels that do not overlap, each with its own id', () => {
    expect(new Set(dashboard.panels.map(({ id }) => id)).size).toBe(dashboard.panels.length);
    expect(overlapping(dashboard)).toEqual([]);
  });

  test('is found by the provisioning, with its data source', async () => {
    const { services } = parse(await readFile(join(ROOT, 'deploy/docker-compose.yml'), 'utf8'), { merge: true, logLevel: 'error' }) as {
      services: Record<string, { volumes: string[] }>;
    };
    const { providers } = parse(await readFile(join(ROOT, 'deploy/grafana/provisioning/dashboards/busgate.yaml'), 'utf8')) as {
      providers: { options: { path: string } }[];
    };
    const { datasources } = parse(await readFile(join(ROOT, 'deploy/grafana/provisioning/datasources/prometheus.yaml'), 'utf8')) as {
      datasources: { url: string; type: string }[];
    };
    expect(services['grafana']?.volumes).toContain(`./grafana/dashboards:${providers[0]?.options.path}:ro`);
    expect(services['grafana']?.volumes).toContain('./grafana/provisioning:/etc/grafana/provisioning:ro');
    expect(datasources).toMatchObject([{ type: 'prometheus', url: 'http://prometheus:9090' }]);
    expect(Object.keys(services)).toContain('prometheus');
  });
});

/** Labels that a legend shows and its expression does not give. */
function unnamedIn(legend: string, expression: string): string[] {
  const { metrics, grouped } = namesIn(expression);
  const aggregated = /\b(?:sum|max|min|count|avg)\b/.test(expression);
  const given = new Set(aggregated ? grouped : [...TARGET_LABELS, ...metrics.flatMap((name) => [...(known().get(name) ?? [])])]);
  return [...legend.matchAll(/\{\{\s*(\w+)\s*\}\}/g)].map(([, label = '']) => label).filter((label) => !given.has(label));
}

function overlapping({ panels }: Dashboard): string[] {
  return panels.flatMap((a, index) =>
    panels
      .slice(index + 1)
      .filter(({ gridPos: b }) => a.gridPos.x < b.x + b.w && b.x < a.gridPos.x + a.gridPos.w && a.gridPos.y < b.y + b.h && b.y < a.gridPos.y + a.gridPos.h)
      .map((b) => `${a.title} and ${b.title}`),
  );
}

test('a name that no gateway has is found', () => {
  expect(unknownIn('sum by (room) (rate(busgate_no_such_total{reason="x"}[5m])) / busgate_sessions{user="a"}')).toEqual([
    'busgate_no_such_total',
    'busgate_no_such_total{reason}',
    'busgate_sessions{user}',
    'by (room)',
  ]);
});
