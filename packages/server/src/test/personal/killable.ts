/** The process that is killed: does the city's jobs, and says when it has begun. */
import { cityAt, type Where } from "./city.ts"

await cityAt(JSON.parse(process.argv[2] ?? "{}") as Where, ["worker"]).start()
process.send?.("working")
