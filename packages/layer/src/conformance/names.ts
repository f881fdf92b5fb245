import assert from 'node:assert/strict';
import type { ChannelLayer } from '../layer.ts';
import { isLayerError } from '../errors.ts';
import { NAMES, type NameRule } from '../names.ts';
import { record, rejects } from './expect.ts';
import { Random } from './random.ts';
import { allowed, allows, ruleOf } from './name-rules.ts';
import type { Family } from './suite.ts';

const ALLOWED = Array.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_:@-');
const HOSTILE = ['..', '.', '\ud83d', '\u{1f600}', ...Array.from('*>!#$%&/\\"\'`+,;=?^|~ \t\n\r\0\u007f\u00e9\u0660\u2028\ufeff{}[]()<')];
const NO_NAMES: readonly unknown[] = [
  '',
  '.',
  '..',
  '.a',
  'a.',
  'a..b',
  '*',
  '>',
  'a.*',
  'a.>',
  'a b',
  'a\n',
  '\na',
  'a\0',
  'é',
  '١',
  'ａ',
  'a!b',
  '!',
  'a!',
  '{a}',
  'a/b',
  '$SYS',
  '$JS.API',
  'x'.repeat(201),
  `${'x.'.repeat(100)}x`,
  undefined,
  null,
  7,
  {},
  ['a'],
  true,
  Symbol('a'),
  Object('a'),
];
const SHORT_NAMES = 'a 0 - _ : @ a:b :: a.b _.-.:.@ __proto__ constructor toString -1 _INBOX.x room'.split(' ');

/** What is no name on a layer with that rule. */
function noNames({ maxLength, marks }: NameRule): readonly unknown[] {
  const forbidden = Array.from(NAMES.marks).filter((mark) => !marks.includes(mark));
  return [...NO_NAMES, 'x'.repeat(maxLength + 1), `${'x.'.repeat(Math.ceil(maxLength / 2))}x`, ...forbidden.flatMap((mark) => [mark, `a${mark}b`])];
}

/** Names that a layer with that rule allows. */
function goodNames(layer: ChannelLayer): string[] {
  const { maxLength } = ruleOf(layer);
  const long = 'x.'.repeat(Math.ceil(maxLength / 2) - 1);
  return ['x'.repeat(maxLength), long.padEnd(maxLength, 'yz'), ...allowed(layer, SHORT_NAMES)];
}

/** The calls that take a name, each for one kind of name. */
const CALLS: readonly ((layer: ChannelLayer, name: string) => Promise<unknown>)[] = [
  (layer, name) => layer.publish(name, 'x'),
  (layer, name) => layer.subscribe(name, () => undefined),
  (layer, name) => layer.send(name, { a: 1 }),
  (layer, name) => layer.receive(name),
  async (layer, name) => layer.listen(name, () => undefined),
  (layer, name) => layer.history(name),
  (layer, name) => layer.purge(name),
  (layer, name) => layer.groupAdd(name, layer.newChannel()),
  (layer, name) => layer.groupAdd('group', name),
  (layer, name) => layer.groupDiscard(name, layer.newChannel()),
  (layer, name) => layer.groupDiscard('group', name),
  (layer, name) => layer.groupSend(name, { a: 1 }),
  (layer, name) => layer.closeChannel(name),
];

export const names: Family = {
  title: 'names',
  tests: {
    'INVALID_NAME for all that is not 1 to 200 ASCII letters, digits and _ : @ -, and dots between levels, in every call': async (stage) => {
      const layer = await stage.open();
      const rule = ruleOf(layer);
      for (const name of noNames(rule)) {
        for (const call of CALLS) await rejects(call(layer, name as string), 'INVALID_NAME', `1 to ${rule.maxLength} ASCII`, Array.from(rule.marks).join(' '));
      }
    },

    'a layer declares no rule of names, or a narrower one': async (stage) => {
      const { maxLength, marks } = ruleOf(await stage.open());
      assert.ok(maxLength <= NAMES.maxLength);
      assert.ok(Array.from(marks).every((mark) => NAMES.marks.includes(mark)));
    },

    'an error shows a name only shortened and with its control characters escaped': async (stage) => {
      const layer = await stage.open();
      for (const name of ['\u0007\n\r\u001b[31m\u007f\u009b', 'x'.repeat(100_000)]) {
        await assert.rejects(layer.publish(name, 'x'), (error: Error) => {
          assert.ok(error.message.length < 400);
          assert.doesNotMatch(error.message, /\p{Cc}/u);
          return true;
        });
      }
    },

    'a "!" is allowed in what newChannel made, and in no room and no group': async (stage) => {
      const layer = await stage.open();
      const channel = layer.newChannel();
      await layer.send(channel, { a: 1 });
      await rejects(layer.publish(channel, 'x'), 'INVALID_NAME');
      await rejects(
        layer.subscribe(channel, () => undefined),
        'INVALID_NAME',
      );
      await rejects(layer.groupSend(channel, { a: 1 }), 'INVALID_NAME');
      for (const name of [
        `${channel}!`,
        `${channel}!x`,
        channel.replace('!', '!!'),
        `.${channel}`,
        `${channel}.`,
        `${channel}.x`,
        '!x',
        'a!b',
        'a.b!',
        'a.b!c.d',
      ]) {
        await rejects(layer.send(name, { a: 1 }), 'INVALID_NAME');
      }
    },

    'every name that is allowed is a room of its own': async (stage) => {
      const [here, there] = await stage.openTwo();
      for (const name of goodNames(here)) {
        const recorder = await record(here, name);
        await there.publish(name, name);
        await recorder.seen(name);
        assert.deepEqual(recorder.texts, [name]);
      }
    },

    'a name is refused exactly when the rule says so (2,000 names made of good and hostile parts)': async (stage) => {
      const layer = await stage.open();
      const random = new Random(7);
      for (let made = 0; made < 2000; made += 1) {
        const name = makeName(random);
        const refused = await layer.publish(name, '').then(
          () => false,
          (error: unknown) => isLayerError(error, 'INVALID_NAME'),
        );
        assert.equal(refused, !allows(ruleOf(layer), name), JSON.stringify(name));
      }
    },
  },
};

function makeName(random: Random): string {
  const parts = random.list(random.below(40) === 0 ? 120 : 6, () => {
    const kind = random.below(12);
    if (kind === 0) return random.pick(HOSTILE);
    if (kind < 4) return '.';
    return random.list(4, () => random.pick(ALLOWED)).join('');
  });
  return parts.join('');
}
