import { afterAll, beforeAll, expect, test } from 'vitest';
import { RawClient } from '../../../packages/gateway/test/support/raw.ts';
import { ANSWERS } from '../../attacks/answers.ts';
import { ENDINGS } from '../../attacks/endings.ts';
import { RawSession } from '../../attacks/raw-session.ts';
import { REFUSALS } from '../../attacks/refusals.ts';
import { openRaw, Stage } from '../../attacks/stage.ts';

let stage: Stage;

beforeAll(async () => {
  stage = await Stage.start(['--history', '[{rooms: "kept.>", size: 10, age: 1m}]']);
});

afterAll(async () => {
  await stage[Symbol.asyncDispose]();
});

/** Does it for one row after the other. */
async function each<Row, Outcome>(rows: readonly Row[], attempt: (row: Row) => Promise<Outcome>): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const row of rows) outcomes.push(await attempt(row));
  return outcomes;
}

test('what is no upgrade of ours is refused, each with its own status', async () => {
  await stage.withstands(async () => {
    const statuses = await each(REFUSALS, async ({ sent, name }) => {
      await using client = await RawClient.connect(stage.gateway.port);
      client.write(sent);
      return { name, status: (await client.answer()).status };
    });
    expect(statuses).toEqual(REFUSALS.map(({ name, status }) => ({ name, status })));
  });
});

test('frames that nobody may send end their own session, each with its own code', async () => {
  await stage.withstands(async () => {
    const codes = await each(ENDINGS, async ({ sent, name }) => {
      await using client = await openRaw(stage.gateway.port, '/room/attacked');
      client.write(...sent);
      return { name, code: await client.closeCode() };
    });
    expect(codes).toEqual(ENDINGS.map(({ name, code }) => ({ name, code })));
  });
});

test('frames of /socket that mean nothing are answered, each with its own error', async () => {
  await stage.withstands(async () => {
    const answers = await each(ANSWERS, async ([, name, sent]) => {
      await using session = await RawSession.open(stage.gateway.port);
      return { name, answer: await session.ask(sent) };
    });
    expect(answers).toEqual(ANSWERS.map(([, name, , answer]) => ({ name, answer })));
  });
});
