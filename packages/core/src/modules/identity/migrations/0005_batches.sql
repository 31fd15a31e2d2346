-- `mahalla.session_state` of each element: an array of (tenant, principal, session), answered in its order. Entered once for all of
-- them; session_state stays for servers that are older.
-- Audited: reads one row by everything it is given.
create function mahalla.session_states(asked jsonb, at timestamptz) returns table (place bigint, state text)
  language plpgsql stable security definer set search_path = pg_catalog, mahalla
  as $$
begin
  return query
    select one.place, (
      select s.second_factor from mahalla.session s
      where s.tenant_id = (one.value ->> 'tenant')::uuid and s.id = (one.value ->> 'session')::uuid
        and s.principal_id = (one.value ->> 'principal')::uuid
        and s.ended_at is null and s.expires_at > at and s.idle_until > at)
    from jsonb_array_elements(asked) with ordinality as one (value, place) order by one.place;
end
$$;
revoke execute on function mahalla.session_states(jsonb, timestamptz) from public;
grant execute on function mahalla.session_states(jsonb, timestamptz) to mahalla_app;
