/** Ports of which a city has several, by the plugin's instance name. */
import * as Context from "effect/Context"
import type { Authority, DeviceIngest, IdentityCheck, Messenger, Payments } from "../ports/index.ts"

export class Authorities extends Context.Service<Authorities, ReadonlyMap<string, Authority["Service"]>>()(
  "@mahalla/kernel/Authorities"
) {}

export class Messengers extends Context.Service<Messengers, ReadonlyMap<string, Messenger["Service"]>>()(
  "@mahalla/kernel/Messengers"
) {}

export class PaymentRails extends Context.Service<PaymentRails, ReadonlyMap<string, Payments["Service"]>>()(
  "@mahalla/kernel/PaymentRails"
) {}

export class IdentityRegisters extends Context.Service<
  IdentityRegisters,
  ReadonlyMap<string, IdentityCheck["Service"]>
>()("@mahalla/kernel/IdentityRegisters") {}

export class DeviceTransports extends Context.Service<DeviceTransports, ReadonlyMap<string, DeviceIngest["Service"]>>()(
  "@mahalla/kernel/DeviceTransports"
) {}
