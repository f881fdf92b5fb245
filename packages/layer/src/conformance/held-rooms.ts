import assert from 'node:assert/strict';
import type { Driver, TopicSink } from '../driver/driver.ts';
import { withResolvers } from '../driver/resolvers.ts';
import { record, until } from './expect.ts';
import type { Stage } from './stage.ts';
import type { Family } from './suite.ts';

const HISTORY = { history: [{ rooms: 'kept.>', size: 10_000, ageMs: 60_000 }] };

/** While the history of a room is read, what comes live waits: in a bounded number of bytes, small messages with what each costs. What is more is read. */
export const heldRooms: Family = {
  title: 'a room whose history is read slowly',
  needs: 'history',
  tests: {
    'holds a bounded number of bytes: what passes it is read once more, and nothing is missed, doubled or out of order': (stage) =>
      hold(stage, { messages: 40, bytes: 100_000, readings: 2 }),
    'holds a bounded number of messages, however small': (stage) => hold(stage, { messages: 6000, bytes: 4, readings: 2 }),
    'holds what is within the bound, and reads nothing again': (stage) => hold(stage, { messages: 100, bytes: 1000, readings: 1 }),
  },
};

async function hold(stage: Stage, { messages, bytes, readings }: { messages: number; bytes: number; readings: number }): Promise<void> {
  const gate = withResolvers<void>();
  let answered = 0;
  const late = await stage.openChanged(HISTORY, (driver) => ({
    read: slowly(driver, async () => {
      answered += 1;
      if (answered > 1) await gate.promise;
    }),
    subscribe: missingTheFirst(driver),
  }));
  if (late === undefined) return;
  const here = await stage.open(HISTORY);
  const recorder = await record(late, 'kept.1');
  await here.publish('kept.1', 'missed');
  await here.publish('kept.1', 'shows it');
  await until(() => answered === 2, 'what was missed is being read');
  const texts = Array.from({ length: messages }, (_, n) => `${n}`.padStart(bytes, '0'));
  await Promise.all(texts.map((text) => here.publish('kept.1', text)));
  await until(() => late.stats.received === messages + 1, 'all of it has come');
  assert.deepEqual(recorder.texts, []);
  gate.resolve();
  await recorder.count(messages + 2);
  assert.deepEqual([recorder.texts, recorder.gaps, answered - 1], [['missed', 'shows it', ...texts], 0, readings]);
}

/** The history answers, and it takes its time until that is here. */
function slowly(driver: Driver, wait: () => Promise<void>): Driver['read'] {
  const read = driver.read.bind(driver);
  return async (...question) => {
    const page = await read(...question);
    await wait();
    return page;
  };
}

/** The first message of a room is lost on its way. */
function missingTheFirst(driver: Driver): Driver['subscribe'] {
  const subscribe = driver.subscribe.bind(driver);
  return (topic, sink, ...rest) => {
    let missed = topic.kind !== 'room';
    const message: TopicSink['message'] = (...arrived) => {
      if (missed) sink.message(...arrived);
      missed = true;
    };
    return subscribe(topic, { message, gap: () => sink.gap() }, ...rest);
  };
}
