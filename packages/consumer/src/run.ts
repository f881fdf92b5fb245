/** For programs that run consumers: the gateway, and the worker. */
export type { ConsumerContext, ConsumerLog } from './context.ts';
export type { Outlet } from './outlet.ts';
export { asRouter, type Router } from './router.ts';
export { Runner, type OutletOf } from './runner.ts';
export { Worker, type WorkerOptions } from './worker.ts';
export { isEvent, type GatewayEvent, type Reply } from './wire.ts';
