/**
 * Conformance suites for every port, with the test runner injected, and in-memory fakes that pass them.
 */
export { memoryAuthority } from "./Authority.memory.ts"
export { AuthorityControl, authoritySuite, type AuthorityFault } from "./Authority.suite.ts"
export { memoryBlobStore } from "./BlobStore.memory.ts"
export { blobStoreSuite } from "./BlobStore.suite.ts"
export { cardNumbersIn } from "./cardNumbers.ts"
export { makeSuite, type Rule, type Runner, type Suite, type SuiteOptions } from "./conformance.ts"
export { memoryDeviceIngest } from "./DeviceIngest.memory.ts"
export {
  DeviceIngestDriver,
  deviceIdOf,
  deviceIngestSuite,
  type DeviceWire,
  fakeIngestHost,
  type FakeIngestHost,
  type Heard,
  NotLetIn,
  tokenOf
} from "./DeviceIngest.suite.ts"
export { scriptedDetector, type DetectorScript } from "./Detector.fakes.ts"
export { DetectorSamples, detectorSuite, type DetectorSample } from "./Detector.suite.ts"
export { claimSize, encoderFixtures, turnTrack, type FixtureOptions } from "./Encoder.fixtures.ts"
export { memoryEncoder, pretendedMedium, type PretendedMedium } from "./Encoder.memory.ts"
export { encoderSuite, type EncoderFixtures, type Known, type KnownClip } from "./Encoder.suite.ts"
export { withExif } from "./mediaFiles.ts"
export { memoryEventBus } from "./EventBus.memory.ts"
export { EventBusControl, eventBusSuite } from "./EventBus.suite.ts"
export { freshDatabase, type FreshDatabase } from "./freshDatabase.ts"
export { hostDatabase, migrateAll, type TestHostDatabase } from "./hostDatabase.ts"
export { fakeCallbacks, type FakeCallbacks } from "./hostCallbacks.ts"
export { hostOutward } from "./hostOutward.ts"
export { memoryIdentityCheck } from "./IdentityCheck.memory.ts"
export {
  IdentityCheckControl,
  type IdentityCheckFault,
  IdentityCheckPeople,
  identityCheckSuite
} from "./IdentityCheck.suite.ts"
export { LimiterControl, limiterSuite } from "./Limiter.suite.ts"
export { lossyLine, type LossyLine } from "./lossyLine.ts"
export { memoryMessenger } from "./Messenger.memory.ts"
export { MessengerControl, messengerSuite, type MessengerFault } from "./Messenger.suite.ts"
export { memoryPayments } from "./Payments.memory.ts"
export { PaymentsControl, paymentsSuite, type PaymentsFault } from "./Payments.suite.ts"
export { StorageControl, storageSuite } from "./Storage.suite.ts"
export { memoryQueue } from "./Queue.memory.ts"
export { QueueControl, queueSuite } from "./Queue.suite.ts"
