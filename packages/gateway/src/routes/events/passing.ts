import type { ChannelLayer } from '@busgate/layer';
import type { Hub } from '../../hub.ts';
import { endWith, type Tracing } from '../../tracing.ts';
import { Entering } from './entering.ts';
import type { Action, ReplyRefusal } from './reply.ts';

export interface PassingContext {
  readonly layer: Pick<ChannelLayer, 'groupAdd' | 'groupDiscard' | 'groupSend'>;
  readonly hub: Pick<Hub, 'publish'>;
  /** Undefined: nobody follows traces. */
  readonly tracing?: Tracing | undefined;
  /** What a reply asked for could not be done. */
  refused(refusal: ReplyRefusal, message: string): void;
}

export type Passed = Extract<Action, { type: 'group' | 'publish' | 'groupSend' }>;

/** Whether this is for others than the client of the session. */
export function isPassed(action: Action): action is Passed {
  return action.type === 'group' || action.type === 'publish' || action.type === 'groupSend';
}

/** What the replies to one session say to rooms and groups, and of which groups it is to be. */
export class Passing {
  readonly #replyChannel: string;
  readonly #context: PassingContext;
  readonly #entering = new Entering();

  constructor(replyChannel: string, context: PassingContext) {
    this.#replyChannel = replyChannel;
    this.#context = context;
  }

  pass(action: Passed): void {
    if (action.type === 'publish') this.#attempt(this.#publish(action), action.room);
    else if (action.type === 'groupSend') this.#attempt(this.#send(action), action.group);
    else this.#attempt(this.#change(action), action.group);
  }

  /** The session is joining a room: who has it join, and speaks there in the same breath, is heard by it. */
  enterRoom(room: string, joined: Promise<unknown>): void {
    this.#entering.begin(`room ${room}`, joined);
  }

  #publish({ room, payload, traceparent }: Extract<Passed, { type: 'publish' }>): Promise<unknown> {
    return this.#entering.after(`room ${room}`, () => this.#context.hub.publish(room, payload, 'http', undefined, traceparent));
  }

  #send({ group, message, traceparent }: Extract<Passed, { type: 'groupSend' }>): Promise<unknown> {
    const { layer, tracing } = this.#context;
    return this.#entering.after(`group ${group}`, () => endWith(tracing?.publishing(group, traceparent), layer.groupSend(group, message)));
  }

  #change({ op, group }: Extract<Passed, { type: 'group' }>): Promise<unknown> {
    const { layer } = this.#context;
    if (op !== 'add') return layer.groupDiscard(group, this.#replyChannel);
    const added = layer.groupAdd(group, this.#replyChannel);
    this.#entering.begin(`group ${group}`, added);
    return added;
  }

  #attempt(work: Promise<unknown>, name: string): void {
    work.catch((error: unknown) => this.#context.refused('failed', `what a worker replied could not be done with ${name}: ${String(error)}`));
  }
}
