CREATE TABLE patients (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    medical_record_number text NOT NULL UNIQUE CHECK (medical_record_number ~ '^MRN-[0-9]{8}$'),
    family_name text NOT NULL,
    given_name text NOT NULL,
    date_of_birth date NOT NULL,
    sex text NOT NULL CHECK (sex IN ('female', 'male', 'other', 'unknown')),
    phone text,
    email text,
    -- Encrypted by the application with ENCRYPTION_KEY.
    national_identifier bytea,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX patients_by_name ON patients (family_name, given_name);
