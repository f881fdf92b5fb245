// The fleet, live: every gateway, and what holds for each route.
import { ask } from './api.js';
import { $, element, facts, missing, number, seconds, table } from './dom.js';

const GATEWAYS = [
  ['Gateway', ({ gateway }) => gateway, 'name'],
  ['Version', ({ version }) => version],
  ['Uptime', ({ uptime }) => seconds(uptime), 'number'],
  ['Sessions', ({ sessions }) => number(sessions), 'number'],
  ['Rooms', ({ rooms }) => number(rooms), 'number'],
  ['State', ({ draining }) => mark(draining ? 'draining' : 'serving', draining ? 'busy' : 'good')],
  [
    'Layer',
    ({ layer }) => mark(layer.partitioned ? `${layer.state}, partitioned` : layer.state, layer.state === 'connected' && !layer.partitioned ? 'good' : 'bad'),
  ],
  ['Heartbeat', ({ heartbeat_delay: delay }) => seconds(delay), 'number'],
];

const GUARANTEES = [
  ['Route', ({ route }) => route, 'name'],
  ['Rooms', ({ rooms }) => rooms, 'name'],
  ['Delivery', ({ delivery }) => held(delivery, delivery.holds ? 'yes' : 'no', delivery.holds)],
  ['Order', ({ order }) => held(order, order.holds, true)],
  ['History', ({ history }) => held(history, history.holds === null ? 'none' : `${number(history.holds.size)} messages, ${seconds(history.holds.age)}`, true)],
  ['Resume', ({ resume }) => held(resume, resume.holds ? 'yes' : 'no', true)],
  ['Slow readers', ({ loss }) => held(loss, loss.holds, true)],
];

export async function showFleet(view) {
  const [fleet, { guarantees }] = await Promise.all([ask('GET', '/api/fleet'), ask('GET', '/api/guarantees')]);
  const { gateways } = fleet;
  const sessions = gateways.reduce((sum, gateway) => sum + gateway.sessions, 0);
  const totals = [
    ['Gateways', number(gateways.length + fleet.missing.length)],
    ['Sessions', number(sessions)],
    ['Draining', number(gateways.filter(({ draining }) => draining).length)],
    ['Without their layer', number(gateways.filter(({ layer }) => layer.state !== 'connected').length)],
  ];
  $('.totals', view).replaceChildren(...totals.map((total) => element('div', {}, ...facts([total]))));
  $('.scroll', view).replaceChildren(table('gateways', GATEWAYS, gateways));
  $('.missing', view).textContent = missing(fleet.missing);
  $('.guarantees', view).replaceChildren(table('guarantees', GUARANTEES, guarantees));
}

export async function drain() {
  if (confirm('Drain the gateway whose port this is? Its process ends.')) await ask('POST', '/api/drain');
}

function mark(text, kind) {
  return element('span', { class: `mark ${kind}` }, text);
}

/** Why it holds, and no more, stands in its title. */
function held({ why }, text, isGood) {
  return element('span', { title: why, class: isGood ? undefined : 'mark bad' }, text);
}
