/**
 * The gateway: terminates clients' sockets and maps rooms onto a channel layer.
 * @module
 */
export { type Config, loadConfig } from './config.ts';
export { Gateway, type GatewayOptions } from './gateway.ts';
