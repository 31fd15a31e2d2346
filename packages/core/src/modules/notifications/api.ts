/** The module's doors together. */
import { cityApi } from "../../kernel/http/cityApi.ts"
import { myNotificationsGroup, notificationLinksGroup } from "./meApi.ts"
import { broadcastsGroup, notificationsGroup } from "./staffApi.ts"

export const NotificationsApi = cityApi("notifications")
  .add(myNotificationsGroup, notificationLinksGroup, notificationsGroup, broadcastsGroup)
  .prefix("/v1")
