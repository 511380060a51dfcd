'use client';

import { createContext, type ReactNode, useContext, useMemo } from 'react';
import { type BursarClient, type BursarOptions, createBursarClient } from './client.js';

const BursarContext = createContext<BursarClient | null>(null);

/** Where Bursar is; or a client that is there already. */
export type BursarProviderProps = Pick<BursarOptions, 'adminURL' | 'token'> & {
  client?: BursarClient | undefined;
  children?: ReactNode;
};

/** Tells every useCostTracking below it where Bursar is. They share one reading. */
export function BursarProvider({ client, adminURL, token, children }: BursarProviderProps) {
  const made = useMemo(() => client ?? createBursarClient({ adminURL, token }), [client, adminURL, token]);
  return <BursarContext.Provider value={made}>{children}</BursarContext.Provider>;
}

// For pages whose own server passes /api/ on: they need no provider.
let ownOrigin: BursarClient | undefined;

/** The client of the options, else of the provider, else of the page's own origin. */
export function useBursarClient(options: Omit<BursarProviderProps, 'children'> = {}): BursarClient {
  const provided = useContext(BursarContext);
  const { client, adminURL, token } = options;
  return useMemo(() => {
    if (client) return client;
    if (adminURL !== undefined || token !== undefined) return createBursarClient({ adminURL, token });
    if (provided) return provided;
    ownOrigin ??= createBursarClient();
    return ownOrigin;
  }, [client, adminURL, token, provided]);
}
