import { complete, MemberReader, readItems } from './members.ts';
import { ROOMS } from './room-pattern.ts';
import { count, duration, type Report, type ValueType } from './types.ts';

/** Which rooms keep a history, as `openLayer` takes it. */
export interface HistorySetting {
  readonly rooms: string;
  readonly size: number;
  readonly ageMs: number;
}

const EXAMPLE = '[{rooms: "chat.>", size: 1000, age: 5m}]';
const ALLOWED = `a list of rules, such as ${EXAMPLE}`;

const SIZE = count(1, 1_000_000);
const AGE = duration('1ms', '24d');
const AGE_MS = count(1, 24 * 86_400_000);

/** Rules by room name; the first that matches wins. */
export const history: ValueType<readonly HistorySetting[]> = {
  name: 'list',
  allowed: ALLOWED,
  placeholder: 'YAML',
  read(raw, report) {
    if (!Array.isArray(raw)) {
      report({ got: raw, must: ALLOWED });
      return undefined;
    }
    return readItems(raw, readRule, report);
  },
  write: (value) => value.map(({ rooms, size, ageMs }) => ({ rooms, size, age: AGE.write(ageMs) })),
};

function readRule(raw: unknown, report: Report): HistorySetting | undefined {
  const members = MemberReader.of(raw, `a rule, such as ${EXAMPLE.slice(1, -1)}`, report);
  if (members === undefined) return undefined;
  // A rule as programs hand it to openLayer may be copied here: its unit stands in the name.
  const isCopied = members.has('ageMs') && !members.has('age');
  members.refuseOthers('a rule', ['rooms', 'size', isCopied ? 'ageMs' : 'age']);
  return complete<HistorySetting>({
    rooms: members.take('rooms', ROOMS),
    size: members.take('size', SIZE),
    ageMs: isCopied ? members.take('ageMs', AGE_MS) : members.take('age', AGE),
  });
}
