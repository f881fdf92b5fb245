import type { Buffer } from 'node:buffer';
import { LayerError } from '@busgate/layer/driver';
import type { DjangoMessage } from './messages.ts';
import { type Packable, Packer } from './msgpack.ts';
import type { Serializer } from './serializer.ts';

/** The member by which the core layer says which channels a queue's message is for. */
const RECIPIENTS = '__asgi_channel__';

/** An element of the core layer's queues. Of a process's own queue it names the channel that it is for, of a member of a group the list of them. */
export function writeElement(serializer: Serializer, message: DjangoMessage, recipients?: string | readonly string[]): Buffer {
  checkReserved(message);
  return serializer.write(recipients === undefined ? message : { ...message, [RECIPIENTS]: recipients });
}

/** The first part of an element in msgpack for many channels, without its random bytes: an array of their names completes it. */
export function packOpenElement(message: DjangoMessage): Buffer {
  checkReserved(message);
  const members = Object.entries(message);
  const packer = new Packer();
  packer.mapOf(members.length + 1);
  for (const [key, value] of members) {
    packer.text(key);
    packer.value(value);
  }
  packer.text(RECIPIENTS);
  return packer.bytes();
}

export interface Addressed {
  readonly message: DjangoMessage;
  readonly recipients: readonly string[];
}

/** @throws Error where it is no element of the core layer's */
export function readElement(serializer: Serializer, element: Buffer): Addressed {
  const { [RECIPIENTS]: named, ...message } = serializer.read(element);
  const recipients = Array.isArray(named) ? (named as readonly Packable[]) : [named];
  return { message, recipients: recipients.filter((name) => typeof name === 'string') };
}

function checkReserved(message: DjangoMessage): void {
  if (Object.hasOwn(message, RECIPIENTS)) throw new LayerError('INVALID_MESSAGE', `message must not have the member ${RECIPIENTS}: it is channels_redis's own`);
}
