-- Written by the console alone.

-- Where the app's consents and tokens are asked for; '' is HubSpot's own. It is
-- the app's and not a tenant's, because the client secret is sent there.
ALTER TABLE app ADD COLUMN base_url text NOT NULL DEFAULT '';
