/**
 * What every transport must keep. The layer also provides `DeviceIngestDriver`, a device of the transport's protocol; rules about what
 * the protocol does not know are left out, with that reason. The city is a fake of the suite's own.
 */
import { DeviceIngest } from "../ports/DeviceIngest.ts"
import { makeSuite } from "./conformance.ts"
import { committingRules } from "./DeviceIngest.committing.ts"
import { connectingRules } from "./DeviceIngest.connecting.ts"

export { DeviceIngestDriver, type DeviceWire, type Heard, NotLetIn } from "./DeviceIngest.driver.ts"
export { deviceIdOf, type FakeIngestHost, fakeIngestHost, tokenOf } from "./DeviceIngest.host.ts"

/** The rules of the DeviceIngest port. */
export const deviceIngestSuite = makeSuite("DeviceIngest", DeviceIngest, [...committingRules, ...connectingRules])
