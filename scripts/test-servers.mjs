// Tests against servers that come from the system's packages. None of the stores so far needs one: what there is runs
// in `npm test`. This is where MariaDB and a browser are installed and started once they are tested.
console.log('No store needs a server from the system yet: npm test runs everything.')
