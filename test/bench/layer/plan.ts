/** The processes of a measurement: the first one's figures count, and the CPU of all. */
export interface Process {
  readonly scenario: string;
  readonly numbers: readonly number[];
}

/** Enough for a steady state: a process takes messages ahead for a reader only after some hundreds. */
const QUEUE_MESSAGES = { fast: 20_000, slow: 1000 };

function queue(readers: number) {
  return (fast: boolean): Process[] => [{ scenario: 'queue', numbers: [readers, fast ? QUEUE_MESSAGES.fast : QUEUE_MESSAGES.slow] }];
}

/**
 * So many members of one group in so many processes, and one that sends; about 200,000 deliveries and at least 20 messages, of channels_redis about
 * 20,000 and at least 2: the more are on their way to that many members, the longer it takes for each.
 */
function group(members: number, processes: number) {
  return (fast: boolean): Process[] => {
    const [least, most, deliveries] = fast ? [20, 3000, 200_000] : [2, 500, 20_000];
    const messages = Math.max(least, Math.min(most, Math.floor(deliveries / members)));
    const each = Array.from({ length: processes }, () => ({ scenario: 'members', numbers: [Math.ceil(members / processes), messages] }));
    return [...each, { scenario: 'groupSend', numbers: [messages] }];
  };
}

/** What is measured of a layer; `fast` where it is not channels_redis. */
export const scenarios: Readonly<Record<string, (fast: boolean) => Process[]>> = {
  'queue-1': queue(1),
  'queue-4': queue(4),
  'queue-16': queue(16),
  'group-1': group(1, 1),
  'group-100': group(100, 1),
  'group-100-in-8': group(100, 8),
  'group-10000': group(10_000, 1),
  'group-10000-in-8': group(10_000, 8),
  'rooms-10000': () => [{ scenario: 'rooms', numbers: [10_000] }],
};
