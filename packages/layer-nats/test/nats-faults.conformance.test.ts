import { startNats } from '../../../test/support/brokers.ts';
import { faultConformance } from '../../../test/support/fault-conformance.ts';

faultConformance('nats', () => startNats());
