import type { Value } from '@busgate/layer';
import type { ConsumerContext } from './context.ts';
import { conclude } from './outcome.ts';
import type { Outlet } from './outlet.ts';
import { Socket, type Data } from './socket.ts';
import type { Params, StatelessTarget } from './target.ts';
import type { ConnectEvent, ReceiveEvent } from './wire.ts';

/** What a stateless handler has of its socket: all that does not wait for messages. What it wants to remember it puts on the session, with `setState`. */
export type StatelessSocket<P extends Params = Params> = Omit<
  Socket<P>,
  | 'receive'
  | 'tryReceive'
  | 'pendingMessages'
  | 'hasMessages'
  | 'deliver'
  | 'finish'
  | 'handOver'
  | 'gone'
  | 'interrupt'
  | 'isBusy'
  | 'isForsaken'
  | 'isRefused'
  | typeof Symbol.asyncIterator
>;

/** Functions for the events of any session, called by whichever worker takes the event. */
export interface StatelessHandlers<P extends Params = Params> {
  /** Decides whether to accept; accepts where it is not there. One that returns without having accepted refuses with 403. */
  connect?(socket: StatelessSocket<P>, context: ConsumerContext): void | Promise<void>;
  receive?(socket: StatelessSocket<P>, message: Data, context: ConsumerContext): void | Promise<void>;
  /** Called once, last. */
  disconnect?(
    end: { readonly session: string; readonly code: number; readonly reason: string; readonly params: P; readonly state: Value },
    context: ConsumerContext,
  ): void | Promise<void>;
}

/** A consumer that keeps nothing in its process: each event of a session may be handled by another worker, one after the other. */
export function handlers<P extends Params = Params>(functions: StatelessHandlers<P>): StatelessTarget {
  return {
    kind: 'stateless',
    handle: async (event, params, outlet, context) => {
      switch (event.type) {
        case 'websocket.connect':
          return connect(functions as StatelessHandlers, event, params, outlet, context);
        case 'websocket.receive':
          return receive(functions as StatelessHandlers, event, params, outlet, context);
        case 'websocket.disconnect':
          await functions.disconnect?.({ session: event.session, code: event.code, reason: event.reason, params: params as P, state: event.state }, context);
      }
    },
  };
}

async function connect(functions: StatelessHandlers, event: ConnectEvent, params: Params, outlet: Outlet, context: ConsumerContext): Promise<void> {
  const socket = new Socket(event, params, outlet, false);
  try {
    if (functions.connect === undefined) await socket.accept();
    else await functions.connect(socket, context);
    if (!socket.accepted && !socket.closed) await socket.reject();
  } catch (error) {
    await conclude(error, socket, event.route, context);
  }
  await outlet.reply({ type: 'done', order: event.order });
}

async function receive(functions: StatelessHandlers, event: ReceiveEvent, params: Params, outlet: Outlet, context: ConsumerContext): Promise<void> {
  const socket = Socket.open(event, params, outlet);
  try {
    await functions.receive?.(socket, event.text ?? event.bytes ?? '', context);
  } catch (error) {
    await conclude(error, socket, event.route, context);
  }
  await outlet.reply({ type: 'done', order: event.order });
}
