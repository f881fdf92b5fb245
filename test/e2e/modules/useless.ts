export const nothing = 'of use';
