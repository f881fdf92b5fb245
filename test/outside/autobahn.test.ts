import { afterAll, beforeAll, expect, test } from 'vitest';
import { EchoServer } from '../../packages/gateway/test/support/echo.ts';
import { type Finding, FuzzingClient } from '../autobahn/fuzzing-client.ts';
import { isFault } from '../autobahn/judge.ts';
import { ORDINARY } from '../autobahn/limits.ts';

/** What Autobahn has in each group; those of compression are offers, which are declined. */
const GROUPS = { 1: 16, 2: 11, 3: 7, 4: 10, 5: 20, 6: 145, 7: 37, 10: 1, '12.1': 18 };

let client: FuzzingClient;
let findings: readonly Finding[];

beforeAll(async () => {
  client = await FuzzingClient.install();
  await using echo = await EchoServer.start(ORDINARY);
  findings = await client.run(
    [{ agent: 'busgate', url: echo.url }],
    Object.keys(GROUPS).map((group) => `${group}.*`),
  );
});

afterAll(async () => {
  await client[Symbol.asyncDispose]();
});

test.each(Object.entries(GROUPS))("the wire does as RFC 6455 has it in all cases %s of Autobahn's fuzzing client", (group, count) => {
  const found = findings.filter(({ id }) => id.startsWith(`${group}.`));
  expect(found.filter((finding) => isFault(finding, true))).toEqual([]);
  expect(found.length).toBe(count);
});
