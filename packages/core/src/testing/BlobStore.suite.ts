/**
 * What every blob store must keep. Each rule runs against a fresh, empty store; bodies are of up to 96 MiB.
 */
import { BlobStore } from "../ports/BlobStore.ts"
import { derivedRules } from "./BlobStore.derived.ts"
import { readingRules } from "./BlobStore.reading.ts"
import { writingRules } from "./BlobStore.writing.ts"
import { makeSuite } from "./conformance.ts"

export const blobStoreSuite = makeSuite("BlobStore", BlobStore, [...writingRules, ...readingRules, ...derivedRules])
