import type { MultiplexRoute as Settings } from '../config/route-settings.ts';
import type { MultiplexContext } from './multiplex/context.ts';
import { MultiplexConversation } from './multiplex/conversation.ts';
import type { Opening, Route } from './route.ts';

/** Many rooms on one connection, JSON frames. */
export class MultiplexRoute implements Route {
  readonly path: Settings['path'];
  readonly messageLimit: number;
  readonly subprotocols: readonly string[] = ['busgate.v1'];
  readonly mayJoin: boolean;
  readonly mayPublish: boolean;
  readonly context: MultiplexContext;

  constructor(settings: Settings, context: MultiplexContext) {
    this.path = settings.path;
    this.messageLimit = context.limits.frame;
    this.mayJoin = settings.join === 'anyone';
    this.mayPublish = settings.publish === 'anyone';
    this.context = context;
  }

  fault(): undefined {
    return undefined;
  }

  mayOpen(): boolean {
    return true;
  }

  open(): Opening {
    return { begin: (session) => new MultiplexConversation(session, this), cancel: () => undefined };
  }
}
