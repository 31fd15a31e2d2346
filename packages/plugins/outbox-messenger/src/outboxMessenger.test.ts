import { messengerSuite } from "@mahalla/core/testing"
import { describe, it } from "vitest"
import { outboxMessenger } from "./index.ts"
import { provided } from "./test/outbox.ts"
import { temporary } from "./test/temporary.ts"

messengerSuite.run(
  { describe, it },
  { name: "outbox-messenger", layer: provided(outboxMessenger({ fileSize: 4_096, files: 20 }), temporary()) }
)
