/**
 * The typed doors to the outside. A port is a small contract; a plugin stands behind it; a conformance suite of the same name in
 * `@mahalla/core/testing` says whether it keeps its promises. Typed with Effect's stable modules only.
 */
export * from "./Authority.ts"
export * from "./BlobStore.ts"
export * from "./Detector.ts"
export * from "./DeviceIngest.ts"
export * from "./Encoder.ts"
export * from "./EventBus.ts"
export * from "./IdentityCheck.ts"
export * from "./Limiter.ts"
export * from "./Messenger.ts"
export * from "./Payments.ts"
export { PortError, type PortErrorFields } from "./PortError.ts"
export * from "./Queue.ts"
export * from "./Storage.ts"
