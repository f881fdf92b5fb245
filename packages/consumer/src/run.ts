/** For programs that run consumers: the gateway, and the worker. */
export type { ConsumerContext, ConsumerCounts, ConsumerLog } from './context.ts';
export type { Outlet } from './outlet.ts';
export { asRouter, type Router } from './router.ts';
export { Runner, WINDOW, type OutletOf } from './runner.ts';
export { isFieldValue, isOwnHeader, isToken, MAX_STATE } from './reply-rules.ts';
export { takeStray } from './running.ts';
export { Worker, type WorkerOptions } from './worker.ts';
export { isEvent, type GatewayEvent, type Reply } from './wire.ts';
