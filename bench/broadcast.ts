/**
 * A broadcast to a whole town: everybody is looked up, their message rendered in their language for their channel and written, and its sending
 * ordered. How long that takes, and how much memory. Arguments: `--citizens=1000000`.
 */
import * as Effect from "effect/Effect"
import { system } from "../packages/core/src/kernel/policy/Principal.ts"
import { Actor, TenantTx, withTenant } from "@mahalla/core/module"
import { loadBroadcast } from "../packages/core/src/modules/notifications/broadcasts.ts"
import { nextPage } from "../packages/core/src/modules/notifications/runBroadcast.ts"
import { figure } from "./measure.ts"
import { withTown } from "./notifications/town.ts"

const mebibytes = () => process.memoryUsage().rss / 1_048_576

const texts = {
  en: { text: "{city}: there is no water in your district tomorrow from 9 to 17. Please keep some." },
  uz: { text: "{city}: ertaga soat 9 dan 17 gacha tumaningizda suv bo‘lmaydi. Suv g‘amlab qo‘ying." },
  "uz-Cyrl": { text: "{city}: эртага соат 9 дан 17 гача туманингизда сув бўлмайди. Сув ғамлаб қўйинг." },
  ru: { text: "{city}: завтра с 9 до 17 в вашем районе не будет воды. Сделайте запас." },
  ka: { text: "{city}: ხვალ 9-დან 17 საათამდე თქვენს უბანში წყალი არ იქნება." }
}

export const run = async (args: ReadonlyArray<string>): Promise<void> => {
  const citizens = Number(args.find((arg) => arg.startsWith("--citizens="))?.split("=")[1] ?? 1_000_000)
  await withTown(citizens, ({ tenantId }) =>
    Effect.gen(function* () {
      const inside = withTenant(tenantId)
      const id = "01900000-0000-7000-9000-000000000001"
      yield* inside(
        Effect.flatMap(
          TenantTx,
          ({ sql }) => sql`
            insert into mahalla.broadcast (tenant_id, id, state, filters, category, urgency, texts, created_by, created_at)
            values (${tenantId}, ${id}, 'running', '{}', 'city', 'urgent', ${JSON.stringify(texts)}::text::jsonb, ${id}, now())`
        )
      )
      const page = Effect.provideService(inside(nextPage(id)), Actor, system(tenantId))
      const memory: Array<number> = []
      const began = performance.now()
      for (let more = true; more;) {
        more = yield* page
        memory.push(mebibytes())
      }
      const seconds = (performance.now() - began) / 1000
      const done = yield* inside(loadBroadcast(id))
      const tenth = Math.floor(memory.length / 10)
      figure("broadcast", `${citizens} recipients resolved, rendered and queued`, "s", seconds, 300)
      figure("broadcast", "recipients", "1/s", citizens / seconds)
      figure("broadcast", "messages", "1", done?.queued ?? 0)
      figure("broadcast", "memory after a tenth", "MB", memory[tenth] ?? 0)
      figure("broadcast", "memory at most after that", "MB", Math.max(...memory.slice(tenth)))
    })
  )
}
