import type { Fleet } from '../../fleet/fleet.ts';
import type { ApiCall } from '../api.ts';

/** `GET /api/fleet`: every gateway, as it is. */
export function fleetCall(fleet: Pick<Fleet, 'askAll'>): ApiCall {
  return {
    method: 'GET',
    path: '/api/fleet',
    async serve() {
      const { answers, missing } = await fleet.askAll('gateway', {});
      return { gateways: [...answers.values()], missing };
    },
  };
}
