-- What requests that arrive together ask in one statement. What such small questions cost is entering a function that runs as its owner, and
-- making ready a plan over nine tables: so it is done once for all of them.

-- `mahalla.actor_of` of each element: an array of (tenant, principal, known), answered in its order.
-- Audited: reads tables by the given tenants and principals only.
create function mahalla.actors_of(asked jsonb) returns table (place bigint, found jsonb)
  language plpgsql stable security definer set search_path = pg_catalog, mahalla
  as $$
begin
  return query
    select asker.place, (
      select jsonb_build_object(
        'suspended', t.suspended_at is not null,
        'kind', p.kind,
        'status', p.status,
        'version', s.version,
        'roles', case when s.version is distinct from asker.known then coalesce((
          select jsonb_agg(jsonb_build_object('id', r.id, 'title', r.title, 'permissions', r.permissions))
          from mahalla.role r where r.tenant_id = asker.tenant), '[]') end,
        'grants', coalesce((
          select jsonb_agg(jsonb_build_object('role', g.role, 'territoryId', g.territory_id,
            'until', (extract(epoch from g.until) * 1000)::bigint))
          from mahalla.role_grant g where g.tenant_id = asker.tenant and g.principal_id = asker.principal), '[]'),
        'delegations', coalesce((
          select jsonb_agg(jsonb_build_object('role', d.role, 'territoryId', d.territory_id, 'permissions', d.permissions,
            'until', (extract(epoch from least(d.until, g.until)) * 1000)::bigint))
          from mahalla.delegation d
          join mahalla.principal giver on giver.tenant_id = asker.tenant and giver.id = d.giver_id and giver.status = 'active'
          left join mahalla.territory place on place.tenant_id = asker.tenant and place.id = d.territory_id
          cross join lateral (
            select max(coalesce(g.until, 'infinity')) as until from mahalla.role_grant g
            where g.tenant_id = asker.tenant and g.principal_id = d.giver_id and g.role = d.role
              and (g.territory_id is null or g.territory_id = any (place.path))
          ) g
          where d.tenant_id = asker.tenant and d.principal_id = asker.principal and d.ended_at is null and g.until is not null), '[]'))
      from mahalla.tenant t
      left join mahalla.principal p on p.tenant_id = asker.tenant and p.id = asker.principal
      left join mahalla.role_set s on s.tenant_id = asker.tenant
      where t.tenant_id = asker.tenant
    )
    from (
      select one.place, (one.value ->> 'tenant')::uuid as tenant, (one.value ->> 'principal')::uuid as principal,
        (one.value ->> 'known')::uuid as known
      from jsonb_array_elements(asked) with ordinality as one (value, place)
    ) asker
    order by asker.place;
end
$$;
revoke execute on function mahalla.actors_of(jsonb) from public;
grant execute on function mahalla.actors_of(jsonb) to mahalla_app;

-- The same of one, for whom another function answers in the same statement.
-- Audited: see actors_of.
create or replace function mahalla.actor_of(tenant uuid, principal uuid, known uuid) returns jsonb
  language plpgsql stable security definer set search_path = pg_catalog, mahalla
  as $$
begin
  return (select a.found from mahalla.actors_of(jsonb_build_array(jsonb_build_object('tenant', tenant, 'principal', principal, 'known', known))) a);
end
$$;

-- Takes several Idempotency-Keys of the transaction's tenant, an array of (principal, route, key), or fails where one of them is in somebody's
-- hands or was used: what is sent behind it takes no effect then.
create function mahalla.demand_idempotency_keys(claims jsonb) returns void
  language plpgsql volatile
  as $$
begin
  -- Limited, so that each is looked up in the index whatever the planner thinks of the table. Taken before it is looked up.
  if not (
    select bool_and(taken.done and stored.used is null)
    from jsonb_to_recordset(claims) as claim (principal uuid, route text, key text)
    cross join lateral (
      select pg_try_advisory_xact_lock(hashtextextended(
        concat_ws(chr(31), 'mahalla.idempotency', mahalla.current_tenant(), claim.principal, claim.route, claim.key), 0)) as done offset 0
    ) taken
    left join lateral (
      select true as used from mahalla.idempotency_key k
      where taken.done and k.tenant_id = mahalla.current_tenant() and k.principal_id = claim.principal
        and k.route = claim.route and k.key = claim.key limit 1
    ) stored on true
  ) then
    raise exception 'an Idempotency-Key is not free' using errcode = 'lock_not_available';
  end if;
end
$$;
revoke execute on function mahalla.demand_idempotency_keys(jsonb) from public;
grant execute on function mahalla.demand_idempotency_keys(jsonb) to mahalla_app;

-- What waits to be put into the text index is put there by whoever makes it too long, and everybody behind them waits: at the usual 4 MB for 70 ms,
-- a hundred creates' time; at this (in kB) for no longer than a commit takes.
alter index mahalla.case_by_text set (gin_pending_list_limit = 64);
