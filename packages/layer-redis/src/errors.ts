import { LayerError, type LayerFault } from '@busgate/layer/driver';

/** Replies that mean that these credentials do not allow it. */
const CREDENTIALS = /^(NOAUTH|WRONGPASS|NOPERM)\b|invalid password|invalid username-password/;
/** How Redis 6.2 wraps what a command inside a script answered. */
const IN_SCRIPT = /^ERR Error running script .*?: -(?=[A-Z]+ )/;
/** How Redis says, without a code, that the user may run a script and not what is in it. */
const NOT_IN_SCRIPT = /user executing the script can't run this command|ACL failure in script/;
/** What a script answers that has done what it was to do, though not all of it. */
const HALF_DONE = /^UNTOLD /;
/** What to do about them. */
const ADVICE: Readonly<Record<string, string>> = {
  NOAUTH: 'the URL names no password: redis://user:password@host, or redis://:password@host where there are no users',
  WRONGPASS: 'the user or the password of the URL is not right, or the user is off',
  NOPERM: 'docs/layer-redis.md has the rules that a user needs',
};
/** What it says of a server that it answers so. */
const FAULTS: Readonly<Record<string, LayerFault>> = {
  OOM: 'out_of_space',
  READONLY: 'read_only',
  LOADING: 'read_only',
  MASTERDOWN: 'read_only',
  MISCONF: 'read_only',
  NOREPLICAS: 'read_only',
  CLUSTERDOWN: 'read_only',
};

/** What a failed command means to the caller. `sent`: it had been written to a connection. */
export function layerError(error: unknown, sent: boolean): LayerError {
  if (error instanceof LayerError) return error;
  const text = isReply(error) ? replyText(error) : String(error instanceof Error ? error.message : error);
  if (isReply(error)) {
    if (HALF_DONE.test(error.message)) return new LayerError('OUTCOME_UNKNOWN', `Redis answered: ${error.message}`, { cause: error, fault: 'refused' });
    const code = /^[A-Z]+/.exec(text)?.[0] ?? '';
    if (CREDENTIALS.test(text)) {
      const advice = ADVICE[code];
      return new LayerError('REFUSED', `Redis refused: ${text}${advice === undefined ? '' : `; ${advice}`}`, { cause: error, fault: 'refused' });
    }
    const fault = FAULTS[code];
    return new LayerError('LAYER_AWAY', `Redis answered: ${text}; nothing was done`, { cause: error, ...(fault === undefined ? {} : { fault }) });
  }
  if (sent) return new LayerError('OUTCOME_UNKNOWN', `the connection to Redis broke before its answer: ${text}`, { cause: error });
  return new LayerError('LAYER_AWAY', `Redis cannot be reached: ${text}`, { cause: error });
}

/** Whether Redis itself answered with an error. */
function isReply(error: unknown): error is Error {
  return error instanceof Error && error.name === 'ReplyError';
}

/** What Redis answered, where the error is an answer of it. */
export function replyOf(error: unknown): string | undefined {
  const reply = error instanceof LayerError ? error.cause : error;
  return isReply(reply) ? replyText(reply) : undefined;
}

function replyText({ message }: Error): string {
  return NOT_IN_SCRIPT.test(message) ? `NOPERM ${message}` : message.replace(IN_SCRIPT, '');
}

/** The first word of an error reply. */
export function replyCode(error: unknown): string | undefined {
  return /^[A-Z]+/.exec(replyOf(error) ?? '')?.[0];
}

/** The kind of fault that kept a server from being used; undefined where all that is known is that a connection broke. */
export function faultOf(error: LayerError): LayerFault | undefined {
  if (error.fault !== undefined || replyOf(error) === undefined) return error.fault;
  return replyCode(error) === 'MOVED' ? 'moved' : 'refused';
}

/** Whether the node that answered so can no longer be the one to talk to. */
export function isLostNode(error: unknown): boolean {
  const code = replyCode(error);
  return code === 'READONLY' || code === 'LOADING' || code === 'MASTERDOWN';
}
