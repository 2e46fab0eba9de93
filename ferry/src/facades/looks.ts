/** All that a server has done by processes beside it: looks into stores, and into factories. */
import { type LookName, type Looks, look, PATIENCE_MS } from '../runtime/looks.ts'
import type { Scouts } from '../runtime/scouts.ts'
import type { Access } from '../runtime/stores.ts'
import { FACTORY_LOOKS, FACTORY_PATIENCE_MS, type FactoryLooks } from './datafactory/looks.ts'

export type AllLooks = Looks & FactoryLooks
export type ServerScouts = Scouts<AllLooks>

export const ALL_PATIENCE_MS: Record<keyof AllLooks, number> = { ...PATIENCE_MS, ...FACTORY_PATIENCE_MS }

/** Does one look in this process. */
export async function lookAt<N extends keyof AllLooks>(
  from: Access,
  name: N,
  ask: AllLooks[N]['ask'],
): Promise<AllLooks[N]['answer']> {
  if (!Object.hasOwn(FACTORY_LOOKS, name)) return look(from, name as LookName, ask as never) as never
  return FACTORY_LOOKS[name as keyof FactoryLooks](from, ask as never) as never
}
